// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// forker has as many processes left as it is killed times too few: each time one
// was forked between the look at all of them and the signal.
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

// Not as PID 1 the last SIGKILL is sent until nobody is left, and never before
// the grace is over, whatever else had to be killed.
func TestShutdownKillsUntilNobodyIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		f := &forker{left: 3}
		d.c.Sweeper, d.c.Others = f, []uint32{1000}
		began := time.Now()
		d.beginShutdown()
		d.killed = true // a sidecar was
		for !d.done {
			d.apply()
			<-d.timers.set(time.Now())
			for k, ok := d.timers.take(time.Now()); ok; k, ok = d.timers.take(time.Now()) {
				d.elapsed(k)
			}
			if f.kills > 0 && time.Since(began) < d.g.StopGrace {
				t.Fatalf("killed after %v of %v", time.Since(began), d.g.StopGrace)
			}
		}
		if f.left != 0 || f.kills != 3 || time.Since(began) > d.g.StopGrace+killBound/2 || d.code != codeKilled {
			t.Errorf("%d left, killed %d times, over after %v with %d", f.left, f.kills, time.Since(began), d.code)
		}
	})
}

// A stop that the container's end overtakes, of a gateway that does not end, is
// answered: its requester would take the end for the loss of its supervisor.
func TestShutdownAnswersAStopRequest(t *testing.T) {
	d := newFixture(t).serving()
	d.request(1, "stop")
	d.phase, d.task = phaseShuttingDown, &task{job: d.queue.Next(), stops: true}
	d.completeShutdown()
	d.replies("failed shutting-down 0 0")
}
