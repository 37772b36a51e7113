// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario L05. One command starts a stopped gateway. recover starts a
// gateway in backoff or in a crash loop at once.
//
// A gateway that was stopped, or that had crashed too often, needed a rebuild
// of the sandbox to come back.
func TestOneCommandStartsStoppedGateway(t *testing.T) {
	for _, verb := range []string{"start", "restart", "recover"} {
		t.Run("stopped-"+verb, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{})
			old := c.WaitServing(serveBy)
			before := life(c)
			c.MustCtl("stop")
			stopped := c.Status()
			if stopped.State != status.Stopped || stopped.Goal != status.GoalStop || stopped.Gateway.PID != 0 {
				t.Errorf("after stop: %s, %s, pid %d", stopped.State, stopped.Goal, stopped.Gateway.PID)
			}
			want(t, verb, c.Ctl(verb), 0, "started: pid", "proven")
			now := c.WaitServing(0)
			checkProven(t, now)
			if now.Gateway.Process == old.Gateway.Process || now.Crashes != 0 {
				t.Errorf("gateway %+v, was %+v, %d crashes", now.Gateway, old.Gateway, now.Crashes)
			}
			checkSameLife(t, c, before)
		})
	}
	for _, verb := range []string{"start", "restart", "recover"} {
		t.Run("backoff-"+verb, func(t *testing.T) {
			t.Parallel()
			c := startInBackoff(t, object{"start_exit": 9})
			before := life(c)
			c.SetMisbehave(nil)
			want(t, verb, c.Ctl(verb), 0, "proven")
			c.WaitServing(0)
			checkSameLife(t, c, before)
		})
	}
}

// startInBackoff starts a container whose gateway fails at its start and is then in
// backoff for an hour.
func startInBackoff(t *testing.T, m object) *harness.Container {
	t.Helper()
	c := harness.Start(t, harness.Options{Misbehave: m, Config: gatewayConfig(object{
		"restart": object{"backoff_min": never, "backoff_max": never},
	})})
	r := c.WaitState(status.Backoff, serveBy)
	if r.Backoff == nil || time.Duration(r.Backoff.DelayMS)*time.Millisecond != time.Hour {
		t.Fatalf("backoff %+v", r.Backoff)
	}
	return c
}

// After a crash loop a user had to wait for the end of a quarantine, although the
// cause was mended long ago.
func TestRecoverServesACrashLoop(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Misbehave: object{"start_exit": 9}, Config: gatewayConfig(object{
		"restart": object{"backoff_min": "50ms", "backoff_max": never},
	})})
	loop := c.WaitStatus(serveBy, "seven crashes in a row", func(v harness.View) error {
		if v.Record.Crashes < 7 || v.Record.State != status.Backoff {
			return fmt.Errorf("%d crashes, %s", v.Record.Crashes, v.Record.State)
		}
		return nil
	})
	before := life(c)
	if loop.Backoff.Streak != loop.Crashes || loop.Reason != "exited" || loop.LastExit.Code != 9 {
		t.Errorf("streak %d, %d crashes, reason %q, last exit %+v", loop.Backoff.Streak, loop.Crashes, loop.Reason, loop.LastExit)
	}
	// While it is still broken, recover has a definite answer and the retries go on.
	want(t, "recover of a broken gateway", c.Ctl("recover"), 1, "exited")
	if r := c.Status(); r.Goal != status.GoalRun || r.Backoff == nil {
		t.Errorf("after it: %s, goal %s, backoff %+v", r.State, r.Goal, r.Backoff)
	}
	c.SetMisbehave(nil)
	want(t, "recover", c.Ctl("recover"), 0, "started: pid", "proven")
	now := c.WaitServing(0)
	checkProven(t, now)
	// Once it serves, recover does nothing.
	want(t, "recover again", c.Ctl("recover"), 0, fmt.Sprintf("already running: pid %d", now.Gateway.PID))
	if again := c.Status(); again.Gateway.Process != now.Gateway.Process {
		t.Errorf("recover replaced a gateway that serves: %+v, was %+v", again.Gateway, now.Gateway)
	}
	checkSameLife(t, c, before)
}

// The delay in the log is the real one. Each crash in a row waits twice as long as
// the one before, up to backoff_max.
func TestBackoffGrows(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Misbehave: object{"start_exit": 9}, Config: gatewayConfig(object{
		"restart": object{"backoff_min": "100ms", "backoff_max": "400ms"},
	})})
	harness.Eventually(t, serveBy, "six starts", func() error {
		if n := len(events(t, c, 0, "gateway-started")); n < 6 {
			return fmt.Errorf("%d starts", n)
		}
		return nil
	})
	delays := []time.Duration{100, 200, 400, 400, 400}
	starts, waits := events(t, c, 6, "gateway-started"), events(t, c, 5, "backoff")
	for i, delay := range delays {
		if w := waits[i]; w.Delay != (delay*time.Millisecond).String() || !w.Failure {
			t.Errorf("backoff %d: %+v, want %d ms", i+1, w, delay)
		}
		if pause := startGap(starts[i], starts[i+1]); pause < delay*time.Millisecond-tick {
			t.Errorf("start %d came %v after the one before, want %d ms", i+2, pause, delay)
		}
	}
}

// Scenario L06. Ten requested restarts in a minute never count as crashes.
//
// Restarts that an operator had requested were counted as crashes, and the tenth put
// the gateway under quarantine.
func TestRequestedRestartsNeverCountAsCrashes(t *testing.T) {
	for name, m := range map[string]object{
		"good":                {},
		"exits-1-when-asked":  {"exit_code": 1},
		"killed-when-asked":   {"ignore_term": true},
		"old-one-hands-over":  {"helper": true, "hold_stdout": true},
		"slow-to-get-serving": {"listen_after": "200ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const restarts = 10
			c := harness.Start(t, harness.Options{Misbehave: m, Config: gatewayConfig(object{"stop": object{"grace": "200ms"}})})
			old := c.WaitServing(serveBy)
			begin := time.Now()
			for range restarts {
				c.MustCtl("restart")
			}
			if d := time.Since(begin); d > time.Minute {
				t.Errorf("%d restarts took %v: more than a minute proves nothing here", restarts, d)
			}
			now := c.WaitServing(0)
			checkProven(t, now)
			if now.Restarts != restarts || now.Crashes != 0 || now.Backoff != nil {
				t.Errorf("%d restarts, %d crashes, backoff %+v", now.Restarts, now.Crashes, now.Backoff)
			}
			if now.Gateway.Process == old.Gateway.Process {
				t.Error("it is the first gateway still")
			}
			if b := events(t, c, 0, "backoff"); len(b) != 0 {
				t.Errorf("backoff after a requested restart: %+v", b)
			}
			// The streak did not grow either, so a crash now is the first.
			signal(c, now.Gateway.PID, "KILL")
			harness.Eventually(t, serveBy, "the crash in the log", func() error {
				b := events(t, c, 0, "backoff")
				if len(b) == 0 {
					return errors.New("no backoff")
				}
				if b[0].Delay != "200ms" || !b[0].Failure {
					t.Errorf("the first crash waits %+v", b[0])
				}
				return nil
			})
		})
	}
}
