// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// crashConfig makes a gateway end at once with code 3.
func crashConfig() map[string]any { return map[string]any{"start_exit": 3} }

func restartConfig(over map[string]any) map[string]any {
	return map[string]any{"gateway": map[string]any{"restart": over}}
}

// waitStreak waits for a backoff after exactly n counted exits in a row.
func waitStreak(c *harness.Container, n int, deadline time.Duration) status.Record {
	return c.WaitStatus(deadline, fmt.Sprintf("a backoff after %d crashes in a row", n), func(v harness.View) error {
		if b := v.Record.Backoff; v.Record.State != status.Backoff || b == nil || b.Streak != n {
			return fmt.Errorf("state %s, backoff %+v", v.Record.State, b)
		}
		return nil
	})
}

// Scenario F11. After 500 crashes in a row the delay is capped, and there is
// less than one start a second after the tenth. recover serves at once.
//
// A gateway that crashed on every start was started without pause, or never again. The
// starts took all processor time.
func TestCrashLoopDelayIsCapped(t *testing.T) {
	t.Parallel()

	t.Run("many-in-a-row", func(t *testing.T) {
		t.Parallel()
		most := harness.Rounds(t, 150, 500)
		c := harness.Start(t, harness.Options{Misbehave: crashConfig(),
			Config: restartConfig(map[string]any{"backoff_min": "10ms", "backoff_max": "20ms"})})
		c.WaitStatus(3*time.Minute, fmt.Sprintf("%d crashes", most), func(v harness.View) error {
			r := v.Record
			if b := r.Backoff; b != nil && b.Streak > 1 && b.DelayMS != 20 {
				t.Errorf("delay of %d ms after %d crashes in a row: backoff_max is 20ms", b.DelayMS, b.Streak)
			}
			if b := r.Backoff; b != nil && b.Streak != r.Crashes {
				t.Errorf("%d crashes, %d of them in a row", r.Crashes, b.Streak)
			}
			if r.Crashes < most {
				return fmt.Errorf("%d", r.Crashes)
			}
			return nil
		})
		c.SetMisbehave(nil)
		c.MustCtl("recover")
		if r := c.WaitServing(10 * time.Second); r.Restarts > 1 || r.Crashes < most {
			t.Errorf("restarts %d, crashes %d", r.Restarts, r.Crashes)
		}
	})

	t.Run("defaults-after-the-tenth", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{Misbehave: crashConfig()})
		// A request does not wait for the backoff, so ten crashes come quickly. Some
		// starts need no request.
		var tenth status.Record
		for streak := 0; streak < 10; {
			tenth = c.WaitStatus(40*time.Second, "one more crash", func(v harness.View) error {
				if b := v.Record.Backoff; v.Record.State != status.Backoff || b == nil || b.Streak <= streak {
					return fmt.Errorf("state %s, backoff %+v", v.Record.State, b)
				}
				return nil
			})
			streak = tenth.Backoff.Streak
			if want := min(int64(200)<<(streak-1), 30000); tenth.Backoff.DelayMS != want {
				t.Errorf("crash %d: delay of %d ms, want %d", streak, tenth.Backoff.DelayMS, want)
			}
			if streak < 10 {
				if r := c.Ctl("recover"); r.Code == 0 {
					t.Fatalf("recover of a gateway that cannot start: %v", r)
				}
			}
		}
		begin := time.Now()
		harness.Never(t, 6*time.Second, "more than one start a second", func() error {
			started := c.Status().Crashes - tenth.Crashes
			if float64(started) > time.Since(begin).Seconds() {
				return fmt.Errorf("%d starts in %v", started, time.Since(begin))
			}
			return nil
		})
		c.SetMisbehave(nil)
		c.MustCtl("recover")
		c.WaitServing(10 * time.Second)
		if waited := time.Since(begin); waited > 25*time.Second {
			t.Errorf("recover took until %v after the tenth crash: did it wait for the backoff?", waited)
		}
	})

	t.Run("reset-after-it-was-healthy", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{Misbehave: crashConfig(),
			Config: restartConfig(map[string]any{"backoff_min": "20s", "backoff_max": "40s", "reset_after": "1s"})})
		waitStreak(c, 1, 20*time.Second)
		c.Ctl("recover")
		if r := waitStreak(c, 2, 10*time.Second); r.Backoff.DelayMS != 40000 {
			t.Errorf("delay of %d ms after the second crash", r.Backoff.DelayMS)
		}
		c.SetMisbehave(nil)
		c.MustCtl("recover")
		proven := *c.WaitServing(10 * time.Second).Gateway.ProvenAt
		harness.Eventually(t, 10*time.Second, "a gateway that served for reset_after", func() error {
			if served := time.Since(proven); served < 1500*time.Millisecond {
				return fmt.Errorf("served for %v", served)
			}
			return nil
		})
		c.Misbehave(map[string]any{"exit_after": "0s", "exit_code": 3})
		r := c.WaitState(status.Backoff, 10*time.Second)
		if r.Backoff.Streak != 0 || r.Backoff.DelayMS != 20000 || r.LastExit.Failure || r.Crashes != 2 {
			t.Errorf("after it was healthy: %+v, %+v, crashes %d", r.Backoff, r.LastExit, r.Crashes)
		}
		c.SetMisbehave(crashConfig())
		c.Ctl("recover")
		if r := waitStreak(c, 1, 10*time.Second); r.Backoff.DelayMS != 20000 {
			t.Errorf("the next crash waits %d ms: the first of a new streak waits 20 s", r.Backoff.DelayMS)
		}
	})
}

// Scenario F11, recover. A recover while a start is on its way must not be
// lost in the crash loop.
func TestRecoverInCrashLoopIsServed(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Misbehave: crashConfig(),
		Config: restartConfig(map[string]any{"backoff_min": "10ms", "backoff_max": "10ms"})})
	c.WaitStatus(30*time.Second, "a crash loop", func(v harness.View) error {
		if v.Record.Crashes < 10 {
			return fmt.Errorf("%d crashes", v.Record.Crashes)
		}
		return nil
	})
	for range 10 { // at any moment of the loop it has one definite answer
		r := c.Ctl("recover")
		if r.Code != 1 && r.Code != 4 {
			t.Fatalf("recover of a gateway that cannot start: %v", r)
		}
	}
	harness.Eventually(t, 10*time.Second, "no request left", func() error {
		if r := c.Status(); r.Request != nil || r.Queued != 0 {
			return errors.New("one is pending")
		}
		return nil
	})
}
