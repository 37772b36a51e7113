// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// checksHeld returns an error unless all checks of gatewayctl status hold.
func checksHeld(v harness.View) error {
	for _, name := range []string{"supervisor", "control", "gateway", "gateway_uid", "listener", "token_file"} {
		if got := v.Verified[name]; got.Result != status.Held {
			return fmt.Errorf("%s: %s %s", name, got.Result, got.Detail)
		}
	}
	return nil
}

// Scenario P03. A rewritten process title, and a comm with spaces,
// parentheses or newlines, does not change the identity.
//
// A gateway that rewrote its title, or had a name that looks like the rest of its
// stat line, was taken for another process and ended.
func TestRewrittenTitleKeepsIdentity(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]struct{ comm, cmdline string }{
		"forged-stat-line":        {") S 1 1 (", ""},
		"closing-parentheses":     {")))) R 0 0 0", ""},
		"opening-parentheses":     {"((((", ""},
		"spaces":                  {"a  b   c", ""},
		"newlines":                {"x\nUid:\t0\nS 1", ""},
		"not-utf8":                {"\u00e9\u20ac\u0001", ""},
		"another-title":           {"", "sshd"},
		"empty-title":             {"", " "},
		"the-name-of-pid-1":       {"gateway-init", "gateway-init"},
		"title-with-forged-lines": {") Z 0 (", "Uid:\t0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			misbehavior := map[string]any{}
			for key, value := range map[string]string{"comm": m.comm, "cmdline": m.cmdline} {
				if value != "" {
					misbehavior[key] = value
				}
			}
			c := harness.Start(t, harness.Options{Misbehave: misbehavior, // from its start
				Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "200ms"}}}})
			old := c.WaitServing(20 * time.Second)
			dir := fmt.Sprintf("/proc/%d", c.GatewayHostPID())
			if m.comm != "" {
				want := m.comm[:min(len(m.comm), 15)]
				if comm, err := os.ReadFile(dir + "/comm"); err != nil || string(comm) != want+"\n" {
					t.Fatalf("comm is %q (%v), want %q", comm, err, want)
				}
			}
			if m.cmdline != "" {
				if line, err := os.ReadFile(dir + "/cmdline"); err != nil || !strings.HasPrefix(string(line), m.cmdline) {
					t.Fatalf("cmdline is %q (%v)", line, err)
				}
			}
			checks := time.Now()
			c.WaitStatus(10*time.Second, "five health checks later", func(v harness.View) error {
				if at := v.Record.Health.At; at == nil || at.Sub(checks) < time.Second {
					return fmt.Errorf("last check %v", at)
				}
				if !v.Serving || v.Record.Gateway.Process != old.Gateway.Process || v.Record.Crashes != 0 {
					t.Fatalf("serving %t, %s: %s, gateway %+v", v.Serving, v.Reason, v.Detail, v.Record.Gateway)
				}
				return checksHeld(v)
			})
			c.MustCtl("probe")
			if now := c.Status(); now.Gateway.Process != old.Gateway.Process {
				t.Errorf("a probe changed the gateway: %+v, was %+v", now.Gateway, old.Gateway)
			}
			c.MustCtl("restart")
			now := c.WaitNewGateway(old.Gateway.Process, 10*time.Second)
			if now.Restarts != 1 || now.Crashes != 0 {
				t.Errorf("restarts %d, crashes %d", now.Restarts, now.Crashes)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the former gateway is still there")
			}
		})
	}
}
