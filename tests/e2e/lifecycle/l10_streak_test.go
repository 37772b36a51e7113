// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// streaks returns the length of each streak of failed health checks in the log.
func streaks(t *testing.T, c *harness.Container) []int {
	t.Helper()
	var all []int
	for _, e := range events(t, c, 0, "health") {
		if e.Failures == 1 || len(all) == 0 {
			all = append(all, 0)
		}
		all[len(all)-1] = e.Failures
	}
	return all
}

// Scenario L10. One failed probe never ends the gateway. The streak resets on
// success and with a new process.
//
// An older supervisor killed a gateway that worked because of one slow answer, and
// the next gateway inherited its count of failures.
func TestOneFailedProbeNeverKills(t *testing.T) {
	t.Run("reset-by-success", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{Config: quick(nil)})
		old := c.WaitServing(serveBy)
		for i, n := range []int{1, 3, 3, 3} { // 10 failures, never 4 in a row
			c.Misbehave(object{"fail_next": n})
			harness.Eventually(t, serveBy, "the streak to come and go", func() error {
				s, v := streaks(t, c), c.View()
				if len(s) != i+1 || s[i] != n || !v.Serving || v.Record.Health.Failures != 0 {
					return fmt.Errorf("streaks %v, serving %t, %+v", s, v.Serving, v.Record.Health)
				}
				return nil
			})
		}
		now := c.WaitServing(serveBy)
		if now.Gateway.Process != old.Gateway.Process || now.Crashes != 0 || len(events(t, c, 0, "gateway-stopping")) != 0 {
			t.Errorf("gateway %+v, was %+v, %d crashes", now.Gateway, old.Gateway, now.Crashes)
		}
	})
	t.Run("shown-while-it-lasts", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{Config: quick(object{"health": object{"interval": "6s"}})})
		old := c.WaitServing(serveBy)
		c.Misbehave(object{"fail_next": 1})
		shown := c.WaitStatus(serveBy, "the failure in status", func(v harness.View) error {
			if v.Serving || v.Record.Health.State != status.NotServing {
				return fmt.Errorf("health %+v", v.Record.Health)
			}
			return nil
		})
		if shown.Health.Failures != 1 || shown.Health.Limit != 4 || shown.State != status.Running || shown.Reason != "health-timeout" {
			t.Errorf("health %+v, %s, %q", shown.Health, shown.State, shown.Reason)
		}
		want(t, "health", c.Ctl("health"), 4, "health-timeout")
		if now := c.WaitServing(serveBy); now.Gateway.Process != old.Gateway.Process {
			t.Errorf("gateway %+v, was %+v", now.Gateway, old.Gateway)
		}
	})
	for _, way := range []string{"crash", "restart"} {
		t.Run("reset-by-"+way, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Config: quick(object{"health": object{"interval": "1s"}})})
			old := c.WaitServing(serveBy)
			c.Misbehave(object{"status": 503})
			c.WaitStatus(serveBy, "two failures", func(v harness.View) error {
				if v.Record.Health.Failures < 2 {
					return fmt.Errorf("health %+v", v.Record.Health)
				}
				return nil
			})
			if way == "crash" {
				signal(c, old.Gateway.PID, "KILL")
			} else {
				c.MustCtl("restart")
			}
			second := c.WaitNewGateway(old.Gateway.Process, serveBy)
			if second.Health.Failures != 0 {
				t.Errorf("the new gateway begins with %d failures", second.Health.Failures)
			}
			before := len(streaks(t, c))
			c.Misbehave(object{"fail_next": 3})
			harness.Eventually(t, serveBy, "a streak of three of its own", func() error {
				s := streaks(t, c)
				if len(s) != before+1 || s[before] != 3 {
					return fmt.Errorf("streaks %v", s)
				}
				return nil
			})
			now := c.WaitServing(serveBy)
			if now.Gateway.Process != second.Gateway.Process {
				t.Errorf("gateway %+v, was %+v", now.Gateway, second.Gateway)
			}
		})
	}
	t.Run("one-slow-answer", func(t *testing.T) {
		t.Parallel()
		// The gateway is mended within three intervals, before the fourth failure.
		c := harness.Start(t, harness.Options{Config: quick(object{"health": object{"interval": "3s", "timeout": "300ms"}})})
		old := c.WaitServing(serveBy)
		c.Misbehave(object{"delay": "1s"})
		harness.Eventually(t, serveBy, "a failure", func() error {
			if s := streaks(t, c); len(s) == 0 {
				return fmt.Errorf("streaks %v", s)
			}
			return nil
		})
		c.Misbehave(object{"delay": "0s"})
		now := c.WaitServing(serveBy)
		if now.Gateway.Process != old.Gateway.Process {
			t.Errorf("gateway %+v, was %+v", now.Gateway, old.Gateway)
		}
	})
	t.Run("unknown-is-not-down", func(t *testing.T) {
		t.Parallel()
		// The agent listens beside a healthy gateway. That must not count as a failure.
		c := harness.Start(t, harness.Options{Config: quick(nil), Extra: harness.IPv6()})
		old := c.WaitServing(serveBy)
		c.ExecDetached("sandbox", "demotools", "hold-port", "[::1]:18789")
		c.WaitStatus(serveBy, "the listener in status", func(v harness.View) error {
			if v.Reason != "listener-foreign" {
				return fmt.Errorf("%q", v.Reason)
			}
			return nil
		})
		harness.Never(t, 2*time.Second, "the gateway beside it", func() error {
			r := c.Status()
			if r.Gateway.Process != old.Gateway.Process || r.Health.Failures != 0 {
				return fmt.Errorf("gateway %+v, health %+v", r.Gateway, r.Health)
			}
			return nil
		})
	})
}
