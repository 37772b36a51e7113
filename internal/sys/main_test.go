// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"testing"

	"gatewayinit/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.IPv6Main(m)) }
