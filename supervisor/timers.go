// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"sync/atomic"
	"time"
)

// timerKind names one deadline of the loop.
type timerKind uint8

const (
	graceTimer         timerKind = iota // the gateway must be gone
	retryTimer                          // the backoff is over
	sweepTimer                          // check again whether the swept processes are gone
	attemptTimer                        // prove again
	workerTimer                         // the worker must have answered
	readyTimer                          // ready.timeout of a start
	neverServedTimer                    // it never served: ready.give_up
	healthTimer                         // the next health check
	shutdownTimer                       // check again whether all processes are gone
	shutdownGraceTimer                  // the container's grace is over
	sidecarTimer                        // a sidecar's backoff or grace is over
	relayTimer                          // the relay is started
	timerKinds
)

// timers holds all deadlines of the loop behind one runtime timer. While PID 1 is
// idle, only that timer could wake it.
type timers struct {
	due   [timerKinds]time.Time // zero: not armed
	wake  time.Time             // when PID 1 shows that it runs; zero: it need not
	timer *time.Timer

	// While the loop handles an input, work fires at wake, on another thread, and
	// worked is the time of that since start. 0: it has not fired.
	work   *time.Timer
	worked atomic.Int64
	start  time.Time
}

// allowances are the deadlines that leave a process its time. While one of them is
// armed, the loop wakes up each tick, or after a 64th of the time that is left, to notice
// that the container was paused.
var allowances = []timerKind{graceTimer, retryTimer, readyTimer, neverServedTimer, shutdownGraceTimer, sidecarTimer}

// tick is that time. PID 1 did not run if it shows that it runs later than this after its
// time.
const tick = time.Second

// putOff returns for how long PID 1 did not run since the last call or set, or 0. It puts
// off the allowances by that time.
func (t *timers) putOff(now time.Time) time.Duration {
	wake, ran := t.wake, now
	t.watch(now)
	if at := t.worked.Swap(0); at != 0 {
		ran = t.start.Add(time.Duration(at)) // work that takes long is no pause
	}
	if wake.IsZero() || ran.Sub(wake) <= tick {
		return 0
	}
	paused := ran.Sub(wake)
	for _, k := range allowances {
		if !t.due[k].IsZero() {
			t.due[k] = t.due[k].Add(paused)
		}
	}
	return paused
}

// watch begins to watch the loop's own work, if a deadline depends on it.
func (t *timers) watch(now time.Time) {
	t.work.Stop()
	t.wake = time.Time{}
	for _, k := range allowances {
		if !t.due[k].IsZero() {
			t.wake = now.Add(tick)
			t.work.Reset(tick)
			return
		}
	}
}

func newTimers() *timers {
	t := &timers{timer: time.NewTimer(time.Hour), start: time.Now()}
	t.timer.Stop()
	t.work = time.AfterFunc(time.Hour, func() { t.worked.Store(int64(time.Since(t.start))) })
	t.work.Stop()
	return t
}

func (t *timers) arm(k timerKind, d time.Duration) { t.due[k] = time.Now().Add(d) }

// shorten brings a deadline forward; it never puts one off.
func (t *timers) shorten(k timerKind, d time.Duration) {
	if due := time.Now().Add(d); t.due[k].After(due) {
		t.due[k] = due
	}
}

func (t *timers) cancel(kinds ...timerKind) {
	for _, k := range kinds {
		t.due[k] = time.Time{}
	}
}

// armedFor returns the deadline, or nil if it is not armed.
func (t *timers) armedFor(k timerKind) *time.Time {
	if t.due[k].IsZero() {
		return nil
	}
	due := t.due[k]
	return &due
}

// take returns an armed timer that is due and disarms it.
func (t *timers) take(now time.Time) (timerKind, bool) {
	for k, due := range t.due {
		if !due.IsZero() && !due.After(now) {
			t.due[k] = time.Time{}
			return timerKind(k), true
		}
	}
	return 0, false
}

// set arms the runtime timer for the earliest deadline and returns its channel, or
// nil if no deadline is armed.
func (t *timers) set(now time.Time) <-chan time.Time {
	var first time.Time
	for _, due := range t.due {
		if !due.IsZero() && (first.IsZero() || due.Before(first)) {
			first = due
		}
	}
	for _, k := range allowances {
		if due := t.due[k]; !due.IsZero() {
			if next := now.Add(max(tick, due.Sub(now)/64)); first.After(next) {
				first = next
			}
		}
	}
	t.timer.Stop()
	t.work.Stop()
	t.worked.Store(0)
	if t.wake = first; first.IsZero() {
		return nil
	}
	t.timer.Reset(first.Sub(now))
	if first.Before(now) { // our own work is no pause
		t.wake = now
	}
	return t.timer.C
}
