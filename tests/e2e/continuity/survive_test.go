// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// checkLives fails the test if the container has ended or was restarted.
func checkLives(t *testing.T, c *harness.Container, pid1 int) {
	t.Helper()
	if err := samePID1(c, pid1); err != nil {
		t.Fatal(err)
	}
	var state struct{ RestartCount int }
	if c.Inspect(&state); state.RestartCount != 0 {
		t.Fatalf("the engine has started the container again %d times", state.RestartCount)
	}
}

// Scenario L14. PID 1 never exits with 0 within milliseconds in a loop. A
// failed restart never ends the container.
//
// The supervisor exited with 0 because its gateway did. With the engine's restart
// policy that was a loop of milliseconds (#7404).
func TestFailingGatewayNeverEndsInit(t *testing.T) {
	t.Parallel()
	for name, misbehave := range map[string]map[string]any{
		"exits-0":             {"start_exit": 0},
		"exits-1":             {"start_exit": 1},
		"exits-78":            {"start_exit": 78},
		"serves-then-exits-0": {"exit_after": "20ms", "exit_code": 0},
		"detaches":            {"detach": true},
		"never-listens":       {"listen_after": "1h"},
		"never-ready":         {"not_ready": true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{
				Misbehave: misbehave, Extra: []string{"--restart", "always"},
				Config: map[string]any{"gateway": map[string]any{"ready": map[string]any{"timeout": "4s"}}},
			})
			pid1 := c.HostPID()
			harness.Never(t, 8*time.Second, "PID 1 stays", func() error { return samePID1(c, pid1) })
			checkLives(t, c, pid1)
			c.SetMisbehave(nil)
			checkRestarted(t, c.Ctl("restart"))
			checkLives(t, c, pid1)
		})
	}
}

// Scenario L14, a failed restart. A requested restart that failed ended the
// container, and the agent's work with it.
func TestFailedRestartNeverEndsContainer(t *testing.T) {
	t.Parallel()
	quick := map[string]any{
		"ready": map[string]any{"timeout": "4s"},
		"stop":  map[string]any{"grace": "2s"},
	}
	// do breaks the next start, and undo mends it.
	for name, try := range map[string]struct {
		reason string
		args   []string
		do     func(t *testing.T, c *harness.Container)
		undo   func(t *testing.T, c *harness.Container)
	}{
		"exits-at-once":  {"exited", nil, misbehaves(map[string]any{"start_exit": 0}), misbehaves(nil)},
		"broken-config":  {"exited", nil, misbehaves(map[string]any{"accept": "hang", "no_such_member": 1}), misbehaves(nil)},
		"never-listens":  {"listener-missing", nil, misbehaves(map[string]any{"listen_after": "1h"}), misbehaves(nil)},
		"not-ready":      {"health-timeout", nil, misbehaves(map[string]any{"not_ready": true}), misbehaves(nil)},
		"other-token":    {"auth-mismatch", nil, misbehaves(map[string]any{"token_mode": "other"}), misbehaves(nil)},
		"no-token-asked": {"auth-mismatch", nil, misbehaves(map[string]any{"token_mode": "none"}), misbehaves(nil)},
		"prepare-failed": {"prepare-failed", nil,
			func(t *testing.T, c *harness.Container) {
				path := c.HostPath("/tmp/demo-gateway")
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte("in the way"), 0o644); err != nil {
					t.Fatal(err)
				}
			},
			func(t *testing.T, c *harness.Container) {
				if err := os.Remove(c.HostPath("/tmp/demo-gateway")); err != nil {
					t.Fatal(err)
				}
			}},
		"no-place-for-a-token": {"token-failed", []string{"--rotate-token"},
			func(t *testing.T, c *harness.Container) {
				if err := os.Mkdir(c.RuntimePath("gateway-token.new"), 0o700); err != nil {
					t.Fatal(err)
				}
			},
			func(t *testing.T, c *harness.Container) {
				if err := os.Remove(c.RuntimePath("gateway-token.new")); err != nil {
					t.Fatal(err)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{
				Command: []string{"demotools", "sleep", "3600"}, Extra: []string{"--restart", "always"},
				Config: map[string]any{"gateway": quick},
			})
			pid1 := c.HostPID()
			c.WaitServing(boot)
			command := c.WaitStatus(boot, "the command", func(v harness.View) error {
				if v.Record.Command == nil || v.Record.Command.PID == 0 {
					return fmt.Errorf("command: %+v", v.Record.Command)
				}
				return nil
			}).Command.PID
			try.do(t, c)
			for range 2 {
				r := wait(t, async(c, append([]string{"restart"}, try.args...)...), time.Minute)
				if r.Code == 0 || !strings.Contains(r.Stderr, ": "+try.reason+": ") {
					t.Errorf("restart: want a failure with %s: %v", try.reason, r)
				}
				checkLives(t, c, pid1)
			}
			try.undo(t, c)
			checkRestarted(t, wait(t, async(c, append([]string{"restart"}, try.args...)...), time.Minute))
			checkLives(t, c, pid1)
			if now := c.Status().Command; now == nil || now.PID != command {
				t.Errorf("the command was process %d and is %+v", command, now)
			}
		})
	}
}

// misbehaves returns a function that changes the gateway's behavior from its next
// start on.
func misbehaves(m map[string]any) func(*testing.T, *harness.Container) {
	return func(t *testing.T, c *harness.Container) {
		if m["no_such_member"] == nil {
			c.SetMisbehave(m)
			return
		}
		if err := os.WriteFile(filepath.Join(c.StateDir(), "misbehave.json"), []byte(`{"no_such_member":1}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
