// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Listeners of other processes would be in the answers.
func TestMain(m *testing.M) { os.Exit(testenv.OwnNetMain(m)) }
