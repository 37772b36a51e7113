// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// TestSlowStartIsSeenSoon checks that the attempts of a gateway that needs long to
// listen are made at these pauses. A worker that asked makes the next pause longer.
func TestSlowStartIsSeenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t).running()
		d.unit.phase = phaseStarting
		missing := result{reason: reason.ListenerMissing, definite: true}
		for _, c := range []struct {
			wait time.Duration
			r    result
			want time.Duration
		}{
			{8 * time.Millisecond, missing, time.Millisecond},
			{time.Second, missing, 15 * time.Millisecond},
			{time.Second, result{reason: reason.HealthTimeout, definite: true, asked: true}, 90 * time.Millisecond},
			{time.Minute, missing, 250 * time.Millisecond},
		} {
			time.Sleep(c.wait)
			d.finds(startProof, c.r)
			if got := time.Until(d.timers.due[attemptTimer]); got != c.want {
				t.Errorf("after %v more: the next attempt is in %v, want %v", c.wait, got, c.want)
			}
		}
	})
}

// TestFirstWorkerStartsWithTheGateway checks that the first worker does not wait until the
// gateway listens, that a later one does, and that a wait without a listener counts as a
// look.
func TestFirstWorkerStartsWithTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t).running()
		d.unit.phase = phaseStarting
		d.kernel.verify = func(procfs.ID) error { return nil }
		d.kernel.listeners = func(uint16) ([]sockets.Listener, error) { return nil, nil }
		var jobs []proof.Job
		d.kernel.start = func(l launch.Child, _ report) (process, error, error) {
			j, err := proof.ParseJob(l.Spec.Worker)
			check(t, err)
			jobs = append(jobs, j)
			return &launch.Proc{PID: nobody}, nil, nil
		}
		d.kernel.identify = func(pid int) (procfs.ID, error) { return procfs.ID{PID: pid}, nil }
		d.prove(startProof)
		if len(jobs) != 1 || jobs[0].Wait != policy.ListenWait || jobs[0].Deadline != d.g.Health.Timeout+policy.ListenWait {
			t.Fatalf("with the gateway: %+v", jobs)
		}
		time.Sleep(policy.ListenWait)
		w := d.prover.run.worker
		w.exit, w.reported = &sys.Exit{PID: nobody, Status: unix.WaitStatus(proof.Refused) << 8}, true
		d.proved(d.prover.workerEnded(w))
		if pause := time.Until(d.timers.due[attemptTimer]); pause != policy.ListenWait/8 || d.unit.trouble.reason != reason.ListenerMissing {
			t.Errorf("after the wait: the next look is in %v, and the trouble is %v", pause, d.unit.trouble)
		}
		d.prove(startProof)
		if len(jobs) != 1 {
			t.Errorf("later: %+v", jobs)
		}
	})
}

// TestStrangerInTheWaitIsRemembered checks that the token counts as known if the first
// worker met a stranger who is gone when PID 1 looks.
func TestStrangerInTheWaitIsRemembered(t *testing.T) {
	d := newFixture(t).running()
	d.kernel.listeners = func(uint16) ([]sockets.Listener, error) { return nil, nil }
	w := &child{role: roleWorker, proc: &launch.Proc{PID: nobody}, reported: true,
		exit: &sys.Exit{PID: nobody, Status: unix.WaitStatus(proof.ForeignPeer) << 8}}
	now := time.Now()
	d.prover.run = &proofRun{gateway: d.unit.child, worker: w, r: result{waits: true, signals: status.Proof{At: &now}}}
	if r := d.prover.workerEnded(w); !r.exposed || r.reason != reason.ListenerMissing {
		t.Errorf("got %+v", r)
	}
}

// TestLooksKeepTheRecord checks that looks for a listener, which find none every few
// milliseconds, change the record once a second.
func TestLooksKeepTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t).running()
		d.unit.phase = phaseStarting
		d.kernel.verify = func(procfs.ID) error { return nil }
		d.kernel.listeners = func(uint16) ([]sockets.Listener, error) { return nil, nil }
		time.Sleep(policy.ListenWait)
		changes, last := 0, time.Time{}
		for range 200 {
			d.prove(startProof)
			if at := *d.prover.health.At; !at.Equal(last) {
				changes, last = changes+1, at
			}
			time.Sleep(10 * time.Millisecond)
		}
		if changes != 2 {
			t.Errorf("the record changed %d times in 2 s", changes)
		}
	})
}
