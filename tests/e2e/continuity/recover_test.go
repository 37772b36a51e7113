// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario L15. recover never ends a gateway that serves, even if one probe
// is slow.
//
// recover killed a gateway that served, because one probe was slow (#7418).
func TestRecoverLeavesServingGatewayAlone(t *testing.T) {
	t.Parallel()
	// slowOnce makes the gateway slow and mends it while recover probes it.
	slowOnce := func(slow, mend func(t *testing.T, c *harness.Container)) func(*testing.T, *harness.Container) harness.Result {
		return func(t *testing.T, c *harness.Container) harness.Result {
			slow(t, c)
			done := async(c, "recover")
			c.WaitStatus(20*time.Second, "a probe that failed", func(v harness.View) error {
				if v.Record.Health.Failures == 0 {
					return fmt.Errorf("health: %+v", v.Record.Health)
				}
				return nil
			})
			mend(t, c)
			return wait(t, done, time.Minute)
		}
	}
	changes := func(m map[string]any) func(*testing.T, *harness.Container) {
		return func(_ *testing.T, c *harness.Container) { c.Misbehave(m) }
	}
	signals := func(sig syscall.Signal) func(*testing.T, *harness.Container) {
		return func(t *testing.T, c *harness.Container) {
			if err := syscall.Kill(c.GatewayHostPID(), sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	times := func(n int, m map[string]any) func(*testing.T, *harness.Container) harness.Result {
		return func(t *testing.T, c *harness.Container) (r harness.Result) {
			for range n {
				if m != nil {
					c.Misbehave(m)
				}
				if r = c.Ctl("recover"); r.Code != 0 {
					break
				}
			}
			if failures, ok := m["fail_next"]; ok {
				if err := logHas(c, fmt.Sprintf(`"failures":%v}`, failures)); err != nil {
					t.Errorf("not all failures that were asked for: %v", err)
				}
			}
			return r
		}
	}
	for name, recover := range map[string]func(*testing.T, *harness.Container) harness.Result{
		"healthy":       times(5, nil),
		"one-503":       times(5, map[string]any{"fail_next": 1}),
		"two-503":       times(5, map[string]any{"fail_next": 2}),
		"three-503":     times(2, map[string]any{"fail_next": 3}), // the fourth in a row would end it
		"slow-within":   times(2, map[string]any{"delay": "700ms"}),
		"slow-beyond":   slowOnce(changes(map[string]any{"delay": "5s"}), changes(map[string]any{"delay": "0s"})),
		"stopped-a-bit": slowOnce(signals(syscall.SIGSTOP), signals(syscall.SIGCONT)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{})
			before := c.WaitServing(boot)
			r := recover(t, c)
			if r.Code != 0 || !strings.Contains(r.Stdout, "already running") {
				t.Errorf("recover: %v", r)
			}
			after := c.WaitServing(boot)
			if after.Gateway.Process != before.Gateway.Process {
				t.Errorf("recover destroyed a gateway that served: %+v became %+v", before.Gateway, after.Gateway)
			}
			if after.Crashes != 0 || after.Restarts != 0 {
				t.Errorf("crashes %d, restarts %d", after.Crashes, after.Restarts)
			}
		})
	}
}

// Scenario L15, each verdict. A gateway that cannot be proven, or that the agent
// disturbs, is not down. recover refuses with the reason and leaves it alone. A
// gateway that is surely down is replaced, otherwise the test above could not fail.
func TestRecoverReplacesOnlyWhatIsDown(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		spoil  func(t *testing.T, c *harness.Container)
		reason string // empty if the gateway is replaced
	}{
		"foreign-listener-beside-ours": {func(t *testing.T, c *harness.Container) {
			c.ExecDetached("sandbox", "demotools", "hold-port", fmt.Sprintf("127.0.0.2:%d", harness.Port))
			harness.Eventually(t, 10*time.Second, "the agent to listen", func() error {
				if count(t, c, harness.SandboxUID, "demotools") == 0 {
					return fmt.Errorf("not yet: %v", c.Processes())
				}
				if r := c.Ctl("probe"); !strings.Contains(r.Stderr, "listener-foreign") {
					return fmt.Errorf("probe: %v", r)
				}
				return nil
			})
		}, "listener-foreign"},
		"deaf":     {func(_ *testing.T, c *harness.Container) { c.Misbehave(map[string]any{"deaf_after": "0s"}) }, ""},
		"drops":    {func(_ *testing.T, c *harness.Container) { c.Misbehave(map[string]any{"accept": "drop"}) }, ""},
		"only-503": {func(_ *testing.T, c *harness.Container) { c.Misbehave(map[string]any{"status": 503}) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{})
			before := c.WaitServing(boot)
			try.spoil(t, c)
			r := wait(t, async(c, "recover"), time.Minute)
			now := c.Status()
			if try.reason == "" {
				if r.Code != 0 || now.Gateway.Process == before.Gateway.Process {
					t.Errorf("recover of a gateway that does not serve: %v\ngateway %+v", r, now.Gateway)
				}
				return
			}
			if r.Code == 0 || !strings.Contains(r.Stderr, try.reason) {
				t.Errorf("recover: want %s: %v", try.reason, r)
			}
			if now.Gateway.Process != before.Gateway.Process {
				t.Errorf("recover destroyed a gateway for %s: %+v became %+v", try.reason, before.Gateway, now.Gateway)
			}
		})
	}
}
