// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/tests/ns/box"
)

func TestMain(m *testing.M) { os.Exit(box.Main(m)) }
