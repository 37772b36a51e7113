// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestMain(m *testing.M) {
	aim()
	os.Exit(testenv.IPv6Main(m))
}
