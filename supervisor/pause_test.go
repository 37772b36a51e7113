// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPausePutsDeadlinesOff checks that time in which the loop did not run counts for no
// deadline of a process. A pause is seen because the loop wakes up each tick while such a
// deadline is armed.
func TestPausePutsDeadlinesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		s := d.beside("always")
		s.killAt = time.Now().Add(7 * time.Second)
		d.unit.sweep.by = time.Now().Add(7 * time.Second)
		for _, k := range allowances {
			d.timers.arm(k, 7*time.Second)
		}
		d.timers.set(time.Now())
		if wakes := time.Until(d.timers.wake); wakes != tick {
			t.Errorf("the loop wakes up in %v", wakes)
		}
		time.Sleep(tick + 20*time.Second) // the container is paused after the first tick was set
		d.notePause()
		for _, k := range allowances {
			if left := time.Until(d.timers.due[k]); left != 6*time.Second {
				t.Errorf("timer %d has %v left", k, left)
			}
		}
		if a, b := time.Until(s.killAt), time.Until(d.unit.sweep.by); a != 6*time.Second || b != 6*time.Second {
			t.Errorf("a sidecar has %v left, a sweep %v", a, b)
		}
		d.notePause() // it counts once
		if strings.Count(d.log.String(), `"event":"paused","for":"20s"`) != 1 {
			t.Errorf("logged %s", d.log.String())
		}
	})
}

// TestOwnWorkIsNoPause checks that time which PID 1 itself needed puts nothing off.
func TestOwnWorkIsNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		wait := func() { // as nextInput does
			d.notePause()
			d.timers.set(time.Now())
			d.notePause()
		}
		d.timers.arm(graceTimer, 7*time.Second)
		wait()
		time.Sleep(5 * time.Second) // the input takes long to handle
		wait()
		if left := time.Until(d.timers.due[graceTimer]); left != 2*time.Second || d.log.Len() != 0 {
			t.Errorf("%v left; logged %s", left, d.log.String())
		}
		time.Sleep(3 * time.Second) // overdue before the next wait
		if wait(); d.log.Len() != 0 {
			t.Errorf("logged %s", d.log.String())
		}
	})
}

// TestPauseInOwnWork checks that a pause counts for nothing, too, if it comes while PID 1
// handles an input.
func TestPauseInOwnWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		d.timers.arm(graceTimer, 7*time.Second)
		d.timers.set(time.Now())
		d.notePause()        // an input in time
		d.timers.work.Stop() // no thread of PID 1 runs any more
		time.Sleep(tick + 20*time.Second)
		d.notePause()
		if left := time.Until(d.timers.due[graceTimer]); left != 6*time.Second || strings.Count(d.log.String(), `"event":"paused","for":"20s"`) != 1 {
			t.Errorf("%v left; logged %s", left, d.log.String())
		}
	})
}

// TestNoPause checks that a loop that wakes up in time, or waits for no deadline of a
// process, sees no pause and has no tick.
func TestNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		d.notePause()
		d.timers.arm(healthTimer, time.Minute)
		d.timers.set(time.Now())
		if wakes := time.Until(d.timers.wake); wakes != time.Minute {
			t.Errorf("the loop wakes up in %v", wakes)
		}
		time.Sleep(time.Minute + tick)
		if d.notePause(); d.log.Len() != 0 {
			t.Errorf("logged %s", d.log.String())
		}
		d.timers.cancel(healthTimer)
		if d.timers.set(time.Now()) != nil || !d.timers.wake.IsZero() {
			t.Error("an idle loop wakes up")
		}
	})
}
