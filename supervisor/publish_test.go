// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestPublish checks that the record is written if something changed, and only then.
func TestPublish(t *testing.T) {
	d := newFixture(t).serving()
	d.publish()
	d.publish()
	if len(d.published) != 1 {
		t.Fatalf("written %d times, want once", len(d.published))
	}
	// A failed write is logged and does no harm.
	d.full, d.unit.crashes = true, 1
	d.publish()
	if !strings.Contains(d.log.String(), evStatusWriteFailed) {
		t.Errorf("logged %s", d.log.String())
	}
	d.full = false // and nothing else has changed
	d.publish()
	if len(d.published) != 2 {
		t.Errorf("written %d times after there was space again", len(d.published))
	}
}

// TestPublishRepairsTheFIFO checks that a removed FIFO is back before the next record
// is written, and that the supervisor reads it.
func TestPublishRepairsTheFIFO(t *testing.T) {
	d := newFixture(t).serving()
	fifo := filepath.Join(d.dir, control.Dir, control.FIFO)
	for name, spoil := range map[string]func(){
		"removed":  func() { check(t, os.Remove(fifo)) },
		"a-file":   func() { check(t, os.Remove(fifo)); check(t, os.WriteFile(fifo, nil, 0o600)) },
		"readable": func() { check(t, os.Chmod(fifo, 0o644)) },
		"linked":   func() { check(t, os.Link(fifo, fifo+"2")); t.Cleanup(func() { os.Remove(fifo + "2") }) },
	} {
		spoil()
		d.log.Reset()
		d.unit.crashes++
		d.publish()
		if !strings.Contains(d.log.String(), evFIFO) {
			t.Errorf("%s: not logged: %s", name, d.log.String())
		}
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		check(t, err)
		_, err = f.WriteString("v1 " + nonce(7) + " probe\n")
		check(t, err)
		check(t, f.Close())
		if in := <-d.c.Server.Requests(); in.Err != nil || in.Action != control.Probe {
			t.Errorf("%s: got %+v", name, in)
		}
	}
}

// TestFill checks that the record has nothing of a gateway that is gone.
func TestFill(t *testing.T) {
	d := newFixture(t).running()
	d.unit.child.id = status.Process{PID: 77, Start: 99}
	d.unit.waiting = &status.Waiting{Streak: 3}
	d.fill()
	g := d.rec.Gateway
	if d.rec.State != status.Running || d.rec.Goal != status.GoalRun || g.PID != 77 || g.Start != 99 ||
		g.StartedAt == nil || g.ProvenAt == nil || d.rec.Backoff != nil || d.rec.Token.Path != "token" {
		t.Errorf("running: %+v", d.rec)
	}
	d.unit.phase, d.unit.child, d.unit.start.proven = phaseBackingOff, nil, time.Time{}
	d.unit.waiting = &status.Waiting{Streak: 3}
	d.fill()
	g = d.rec.Gateway
	if d.rec.State != status.Backoff || g.PID != 0 || g.Start != 0 || g.StartedAt != nil || g.ProvenAt != nil || d.rec.Backoff == nil {
		t.Errorf("waiting: %+v", d.rec)
	}
	d.shutdown.begun = true
	d.fill()
	if d.rec.Goal != status.GoalExit {
		t.Errorf("ending: goal %q", d.rec.Goal)
	}
}

// TestFillRequest checks the texts for waiting requesters. The record has no whole
// nonce, because a reader of it could answer in that name.
func TestFillRequest(t *testing.T) {
	for name, c := range map[string]struct {
		phase    phase
		launched bool
		run      *proofRun
		want     string
	}{
		"stopping": {phaseRestarting, false, nil, "stopping"},
		"halting":  {phaseStopping, false, nil, "stopping"},
		"starting": {phaseStarting, false, nil, "starting"},
		"proving":  {phaseStarting, true, nil, "proving"},
		"probing":  {phaseRunning, true, &proofRun{}, "proving"},
		"waiting":  {phaseBackingOff, false, nil, "accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t)
			d.unit.phase, d.unit.start.executed, d.prover.run = c.phase, c.launched, c.run
			r := control.Request{Nonce: strings.Repeat("ab", 32), Action: control.Restart}
			d.inProgress(&control.Job{Request: r, Nonces: []string{r.Nonce}}, requestAwaitingStart)
			d.requests.queue.Add(control.Request{Nonce: nonce(1), Action: control.Stop})
			d.fill()
			q := d.rec.Request
			if q == nil || q.Stage != c.want || q.Nonce != "abababab" || q.Action != "restart" || d.rec.Queued != 1 {
				t.Errorf("got %+v, %d queued", q, d.rec.Queued)
			}
			text, err := json.Marshal(d.rec)
			check(t, err)
			if strings.Contains(string(text), "ababababab") {
				t.Error("the record has more than a prefix of the nonce")
			}
		})
	}
}

// TestFillUntil checks that only a gateway that is being stopped has a deadline.
func TestFillUntil(t *testing.T) {
	d := newFixture(t)
	d.unit.phase = phaseRestarting
	d.inProgress(&control.Job{Request: control.Request{Nonce: nonce(1), Action: control.Restart}}, requestAwaitingStart)
	d.timers.arm(graceTimer, time.Hour)
	d.fill()
	if until := d.rec.Request.Until; until == nil || time.Until(*until) < 59*time.Minute {
		t.Errorf("until %v", until)
	}
	d.unit.enter(phaseStarting)
	d.fill()
	if until := d.rec.Request.Until; until != nil {
		t.Errorf("of a start: until %v", until)
	}
}

// TestFillCommand checks the record of the command, from waiting to its exit code.
func TestFillCommand(t *testing.T) {
	d := newFixture(t)
	d.c.Command = &launch.Child{UID: 9002}
	code := 3
	for _, c := range []struct {
		set    func()
		state  string
		detail string
	}{
		{func() {}, "waiting", ""},
		{func() { d.shutdown.command = &child{proc: &launch.Proc{PID: 88}} }, "running", ""},
		{func() { d.shutdown.commandCode = &code }, "stopped", "ended with exit code 3"},
	} {
		c.set()
		d.fill()
		if got := d.rec.Command; got.State != c.state || got.Detail != c.detail || got.UID != 9002 {
			t.Errorf("got %+v, want %q %q", got, c.state, c.detail)
		}
	}
}

// TestReadyByEndsWithItsTime checks that the record loses the time of ready.timeout when
// that has passed, even if the reason stays the same.
func TestReadyByEndsWithItsTime(t *testing.T) {
	d := newFixture(t).serving()
	d.unit.phase, d.unit.start.executed = phaseStarting, true
	d.unit.child = &child{proc: &launch.Proc{PID: nobody}, started: time.Now()}
	d.timers.arm(readyTimer, time.Hour)
	d.unit.setTrouble(reason.HealthTimeout, "x")
	d.prover.run = &proofRun{r: result{asked: true}, worker: &child{proc: &launch.Proc{PID: nobody}}}
	d.publish()
	if d.published[0].Gateway.ReadyBy == nil {
		t.Fatal("a start has no time of ready.timeout")
	}
	d.timers.cancel(readyTimer)
	d.elapsed(readyTimer)
	d.handleEvents()
	d.publish()
	if by := d.published[len(d.published)-1].Gateway.ReadyBy; by != nil {
		t.Errorf("it is still %v", by)
	}
}
