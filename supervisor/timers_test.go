// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// fired waits for all armed timers, and returns which came and when.
func fired(t *timers) (kinds []timerKind, after []time.Duration) {
	start := time.Now()
	for c := t.set(time.Now()); c != nil; c = t.set(time.Now()) {
		<-c
		for k, ok := t.take(time.Now()); ok; k, ok = t.take(time.Now()) {
			kinds, after = append(kinds, k), append(after, time.Since(start))
		}
	}
	return kinds, after
}

// TestTimersFire checks order and time, whichever deadline was armed first.
func TestTimersFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTimers()
		ts.arm(healthTimer, 30*time.Second)
		ts.arm(graceTimer, 7*time.Second)
		ts.arm(sweepTimer, time.Millisecond)
		ts.arm(readyTimer, 7*time.Second)
		kinds, after := fired(ts)
		if want := []timerKind{sweepTimer, graceTimer, readyTimer, healthTimer}; !slices.Equal(kinds, want) {
			t.Errorf("fired %v, want %v", kinds, want)
		}
		if want := []time.Duration{time.Millisecond, 7 * time.Second, 7 * time.Second, 30 * time.Second}; !slices.Equal(after, want) {
			t.Errorf("after %v, want %v", after, want)
		}
	})
}

// TestTimersStale checks that a deadline that was canceled or moved does not fire at
// its old time. A stale grace would kill the next gateway.
func TestTimersStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTimers()
		ts.arm(graceTimer, time.Second)
		ts.arm(retryTimer, time.Second)
		ts.arm(healthTimer, 5*time.Second)
		ts.set(time.Now())
		time.Sleep(2 * time.Second) // the runtime timer has fired, and was not read
		synctest.Wait()
		ts.cancel(graceTimer, retryTimer)
		if ts.armed(graceTimer) || ts.armed(retryTimer) || !ts.armed(healthTimer) {
			t.Error("canceled the wrong ones")
		}
		ts.arm(healthTimer, 60*time.Second)
		kinds, after := fired(ts)
		if !slices.Equal(kinds, []timerKind{healthTimer}) || after[0] != 60*time.Second {
			t.Errorf("fired %v after %v", kinds, after)
		}
	})
}

// TestTimersIdle checks that nothing wakes PID 1 if nothing is armed.
func TestTimersIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTimers()
		if ts.set(time.Now()) != nil {
			t.Error("a channel without a deadline")
		}
		ts.arm(shutdownTimer, time.Second)
		ts.set(time.Now())
		ts.cancel(shutdownTimer)
		if ts.set(time.Now()) != nil {
			t.Error("a channel after the only deadline was canceled")
		}
		if k, ok := ts.take(time.Now().Add(time.Hour)); ok {
			t.Errorf("took %v", k)
		}
	})
}

// TestTimersTake checks that only overdue deadlines fire, at once and once.
func TestTimersTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTimers()
		ts.arm(attemptTimer, -time.Minute)
		ts.arm(sidecarTimer, 0)
		ts.arm(workerTimer, time.Nanosecond)
		now := time.Now()
		<-ts.set(now)
		got := []timerKind{}
		for k, ok := ts.take(now); ok; k, ok = ts.take(now) {
			got = append(got, k)
		}
		if !slices.Equal(got, []timerKind{attemptTimer, sidecarTimer}) || !ts.armed(workerTimer) {
			t.Errorf("took %v, worker armed: %v", got, ts.armed(workerTimer))
		}
	})
}

// TestEnterCancels checks that the end of a phase cancels its deadlines. Grace and
// sweep go on from one way of stopping to another.
func TestEnterCancels(t *testing.T) {
	for name, c := range map[string]struct {
		from, to phase
		left     []timerKind
	}{
		"backoff-ends":      {phaseBackingOff, phaseStarting, []timerKind{readyTimer, neverServedTimer}},
		"proven":            {phaseStarting, phaseRunning, nil},
		"restart":           {phaseRunning, phaseRestarting, nil},
		"stop-while-at-it":  {phaseRestarting, phaseStopping, []timerKind{graceTimer, sweepTimer}},
		"exit-while-at-it":  {phaseStopping, phaseShuttingDown, []timerKind{graceTimer, sweepTimer}},
		"swept-to-starting": {phaseRestarting, phaseStarting, []timerKind{readyTimer, neverServedTimer}},
		"stopped":           {phaseStopping, phaseStopped, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFixture(t)
				d.unit.phase = c.from
				machine := []timerKind{graceTimer, retryTimer, sweepTimer, attemptTimer, readyTimer, neverServedTimer, healthTimer}
				for _, k := range machine {
					d.timers.arm(k, time.Minute)
				}
				d.unit.enter(c.to)
				for _, k := range machine {
					if d.timers.armed(k) != slices.Contains(c.left, k) {
						t.Errorf("timer %d: armed is %v", k, d.timers.armed(k))
					}
				}
				if d.unit.phase != c.to || !d.unit.since.Equal(time.Now()) {
					t.Errorf("in %v since %v", d.unit.phase, d.unit.since)
				}
			})
		})
	}
}
