// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// forker needs one SIGKILL for each of its processes, as if each had been forked
// between the check and the signal.
type forker struct {
	fakeSweeper
	left  int
	kills int
}

func (f *forker) Signal(_ uint32, sig syscall.Signal) {
	if sig == syscall.SIGKILL {
		f.left, f.kills = max(f.left-1, 0), f.kills+1
	}
}
func (f *forker) Others(uint32) (bool, error) { return f.left > 0, nil }

// TestShutdownKillsUntilNobodyIsLeft checks that a supervisor that is not PID 1 sends
// SIGKILL until no process is left, and never before the grace is over.
func TestShutdownKillsUntilNobodyIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		f := &forker{left: 3}
		d.c.Sweeper, d.c.Others = f, []uint32{1000}
		began := time.Now()
		d.beginShutdown()
		d.shutdown.killed = true // a sidecar was killed
		for !d.shutdown.over {
			d.apply()
			<-d.timers.set(time.Now())
			for k, ok := d.timers.take(time.Now()); ok; k, ok = d.timers.take(time.Now()) {
				d.elapsed(k)
			}
			if f.kills > 0 && time.Since(began) < d.g.StopGrace {
				t.Fatalf("killed after %v of %v", time.Since(began), d.g.StopGrace)
			}
		}
		if f.left != 0 || f.kills != 3 || time.Since(began) > d.g.StopGrace+killBound/2 || d.shutdown.code != codeKilled {
			t.Errorf("%d left, killed %d times, over after %v with %d", f.left, f.kills, time.Since(began), d.shutdown.code)
		}
	})
}

// TestShutdownAnswersAStopRequest checks a stop that the container's end overtakes.
// Without an answer its requester would report the loss of its supervisor.
func TestShutdownAnswersAStopRequest(t *testing.T) {
	d := newFixture(t).serving()
	d.request(1, "stop")
	d.unit.phase = phaseShuttingDown
	d.inProgress(d.requests.queue.Next(), requestAwaitingStop)
	d.completeShutdown()
	d.replies("failed shutting-down 0 0")
}
