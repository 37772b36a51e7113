// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"testing"

	"gatewayinit/tests/ns/box"
)

func TestMain(m *testing.M) { os.Exit(box.Main(m)) }
