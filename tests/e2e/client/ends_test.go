// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// A running client ends within a second of its gateway. Its descendants end too,
// even in their own session. None of these processes ends on SIGTERM.
func TestEndsWithGateway(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, c *harness.Container, gateway int){
		"killed":  func(t *testing.T, c *harness.Container, gateway int) { kill9(t, gateway) },
		"restart": func(t *testing.T, c *harness.Container, _ int) { c.MustCtl("restart") },
		"stop":    func(t *testing.T, c *harness.Container, _ int) { c.MustCtl("stop") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startServing(t, harness.Options{})
			family := execTerminal(t, c, "demotools", "orphan-then", "stubborn", "600", "--", "stubborn", "600")
			ui := tui(t, c)
			ui.WaitFor(greeting, 1, boot)
			family.WaitFor("ignoring", 2, boot) // both run, and the orphan's parent has ended
			all := operators(c)
			if len(all) != 3 {
				t.Errorf("the operator has %v", all)
			}
			for _, p := range all {
				if !slices.Contains(environ(t, p.HostPID), tokenEnv+"="+c.Token()) {
					t.Errorf("%v has no token", p)
				}
			}
			if !lockHeld(t, c) {
				t.Error("the lock is free while clients live")
			}
			gateway := c.GatewayHostPID() // runs a docker exec, which must not be timed
			begin := time.Now()
			end(t, c, gateway)
			harness.Eventually(t, boot, "no process of the operator", func() error {
				if all := operators(c); len(all) > 0 {
					return fmt.Errorf("there is %v", all)
				}
				return nil
			})
			if took := time.Since(begin); name == "killed" && took > testenv.AtMost(t, time.Second) {
				t.Errorf("they lived for %v without a gateway", took)
			}
			for _, m := range []*harness.Terminal{family, ui} {
				m.WaitFor("gatewayctl: ended the client: the gateway has ended, and another process may have its port\r\n", 1, boot)
				if code := m.Code(boot); code != 4 {
					t.Errorf("exit code %d", code)
				}
			}
			if lockHeld(t, c) {
				t.Error("the lock is held afterwards")
			}
			waitNoClients(t, c)
		})
	}
}

// execTerminal runs docker exec -it C gatewayctl exec ARGS on a new terminal.
func execTerminal(t *testing.T, c *harness.Container, args ...string) *harness.Terminal {
	t.Helper()
	all := append([]string{"exec", "-it", c.Name, "gatewayctl", "exec"}, args...)
	return harness.OpenTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, all...)
}

// A client that ends by itself leaves the lock free for the next start.
func TestLockIsFreeAfterwards(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{})
	m := tui(t, c)
	m.WaitFor(greeting, 1, boot)
	if !lockHeld(t, c) {
		t.Error("the lock is free while a client lives")
	}
	// The client has neither the lock nor the gateway's pidfd.
	for _, link := range allLinks(t, onlyClient(t, c).HostPID) {
		if strings.Contains(link, "clients.lock") || strings.Contains(link, "pidfd") {
			t.Errorf("the client has %s", link)
		}
	}
	m.Type("exit\r")
	if code := m.Code(boot); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if lockHeld(t, c) {
		t.Error("the lock is held afterwards")
	}
}

func allLinks(t *testing.T, hostPID int) (all []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", hostPID)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("descriptors: %v, %v", entries, err)
	}
	for _, e := range entries {
		if link, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			all = append(all, link)
		}
	}
	return all
}

// PID 1 notices a client that lived when the gateway ended. The client may have sent
// the token to another process, so PID 1 replaces it. Without a client the token
// stays.
func TestTokenIsReplacedAfterClient(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{Config: map[string]any{"gateway": map[string]any{
		"restart": map[string]any{"backoff_min": "10ms", "backoff_max": "10ms"}}}})
	for round := range 6 {
		alone := round%2 == 0
		token, old := c.Token(), c.Status().Gateway.Process
		var m *harness.Terminal
		if !alone {
			m = tui(t, c)
			m.WaitFor(greeting, 1, boot)
		}
		kill9(t, c.GatewayHostPID())
		if m != nil && m.Code(boot) != 4 {
			t.Errorf("round %d: the client ended by itself", round)
		}
		c.WaitNewGateway(old, boot)
		if same := c.Token() == token; same != alone {
			t.Errorf("round %d: the token is the same: %v", round, same)
		}
		if lockHeld(t, c) {
			t.Errorf("round %d: the lock is held afterwards", round)
		}
	}
}
