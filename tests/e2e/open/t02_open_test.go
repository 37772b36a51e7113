// SPDX-License-Identifier: Apache-2.0

// Package open opens the agent's terminal UI as docs/operate.md and docs/non-root.md
// describe it, with the demo gateway. tests/e2e/client and tests/e2e/openclaw have the
// other tests of such clients.
package open

import (
	"os"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// serveBy bounds each start and each end.
const serveBy = 30 * time.Second

const tokenEnv = "OPENCLAW_GATEWAY_TOKEN"

// TestMain runs the test without separation too, where the documented command differs.
func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, harness.MainOptions{Topologies: []string{"TestDocumentedCommandOpensTerminalUI"}}))
}

// open runs the documented command. Without separation there is no operator to run the
// UI. Then gatewayctl prints the token, and a variable of docker exec passes it to the
// UI, so that it is in no process's arguments.
func open(t *testing.T, c *harness.Container) *harness.Terminal {
	t.Helper()
	flags, client := []string{"-it"}, []string{"gatewayctl", "tui"}
	if harness.NonRoot(t) {
		t.Setenv(tokenEnv, c.MustCtl("token"))
		flags, client = append(flags, "-e", tokenEnv), []string{"demotools", "tui-demo"}
	}
	args := append(harness.ExecArgs(t, "", flags...), c.Name)
	return harness.OpenTerminal(t, pty.Winsize{Rows: 33, Cols: 111}, append(args, client...)...)
}

// Scenario T02. The documented way to open the terminal UI authenticates: as
// root, without root, with no-new-privileges and with a read-only root, at
// the first start, after a restart and after a rotation.
//
// The token was kept from all users, and the documented way to the terminal UI failed.
// It had not been tried in every kind of container (#2480).
func TestDocumentedCommandOpensTerminalUI(t *testing.T) {
	for name, flags := range map[string][]string{
		"readme":   harness.Flags(t), // read-only, no-new-privileges
		"writable": harness.WritableFlags(t),
	} {
		t.Run(name, func(t *testing.T) {
			c := harness.Start(t, harness.Options{Flags: flags})
			c.WaitServing(serveBy)
			for _, before := range [][]string{nil, {"restart"}, {"restart", "--rotate-token"}} {
				if before != nil {
					c.MustCtl(before...)
				}
				m := open(t, c)
				m.WaitFor("gateway: accepts the token", 1, serveBy)
				m.WaitFor("type a line, or exit", 1, serveBy)
				m.Type("exit\r")
				if code := m.Code(serveBy); code != 0 {
					t.Errorf("exit code %d after %v", code, before)
				}
			}
		})
	}
}
