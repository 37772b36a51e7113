// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// TestReceiveRefuses checks that a refused frame is counted, and answered if readable.
func TestReceiveRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		words  string
		reply  string
		counts status.Refused
	}{
		"unknown-action": {"reboot", "failed unknown-action 0 0", status.Refused{UnknownAction: 1}},
		"unknown-key":    {"stop force=1", "failed unknown-action 0 0", status.Refused{UnknownAction: 1}},
		"malformed":      {"restart rotate=2", "failed malformed 0 0", status.Refused{Malformed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t).serving()
			d.request(1, c.words)
			d.replies(c.reply)
			if d.requests.refused != c.counts || d.requests.queue.Len() != 0 {
				t.Errorf("counted %+v, %d wait", d.requests.refused, d.requests.queue.Len())
			}
		})
	}
	t.Run("no-nonce", func(t *testing.T) {
		d := newFixture(t).serving()
		d.receive(control.Incoming{Err: control.ErrMalformed})
		if d.requests.refused.Malformed != 1 || !strings.Contains(d.log.String(), `"reason":"malformed"`) {
			t.Errorf("counted %+v, logged %s", d.requests.refused, d.log.String())
		}
	})
	t.Run("no-gateway", func(t *testing.T) {
		d := newFixture(t).serving()
		d.c.Gateway = nil
		d.request(1, "restart")
		d.replies("failed not-permitted 0 0")
	})
	t.Run("container-ends", func(t *testing.T) {
		d := newFixture(t).serving()
		d.shutdown.begun = true
		d.request(1, "restart")
		d.replies("failed shutting-down 0 0")
	})
}

// TestReceiveReplayed checks that a nonce works once. A copy of a waiting request,
// whether it is whole, cut or changed, must not answer in its place. Otherwise the
// requester would read "failed" for a restart that goes on.
func TestReceiveReplayed(t *testing.T) {
	d := newFixture(t).serving()
	d.request(1, "restart")
	d.replies("accepted")
	for _, words := range []string{"restart", "stop", "restart rotate=2", "reboot", ""} {
		if d.request(1, words); d.reply(1) != "accepted" {
			t.Errorf("after %q the first requester reads %q", words, d.reply(1))
		}
	}
	if n := d.requests.queue.Len(); n != 1 {
		t.Errorf("%d wait, want 1", n)
	}
	d.requests.queue.Next()
	d.request(1, "restart")
	d.replies("failed replayed 0 0")
	if d.requests.queue.Len() != 0 || d.requests.refused.Replayed != 3 {
		t.Errorf("%d wait, counted %+v", d.requests.queue.Len(), d.requests.refused)
	}
	// The request in progress counts as waiting, too.
	d.request(2, "stop")
	d.inProgress(d.requests.queue.Next(), requestAwaitingStart)
	d.request(2, "stop")
	d.request(2, "stop x")
	d.replies("failed replayed 0 0", "accepted")
}

// TestReceiveQueueFull checks that the 257th request is refused, and may come again.
func TestReceiveQueueFull(t *testing.T) {
	d := newFixture(t).serving()
	for n := 1; n <= control.MaxWaiting; n++ {
		d.request(n, "probe")
	}
	d.request(1000, "probe")
	if got := d.reply(1000); got != "failed queue-full 0 0" {
		t.Errorf("the next reads %q", got)
	}
	if d.reply(control.MaxWaiting) != "accepted" || d.requests.refused.QueueFull != 1 || d.requests.queue.Len() != control.MaxWaiting {
		t.Errorf("%d wait, counted %+v", d.requests.queue.Len(), d.requests.refused)
	}
}

// TestServeAtOnce checks the answers that need no wait.
func TestServeAtOnce(t *testing.T) {
	d := newFixture(t).serving()
	d.request(1, "probe")
	d.request(2, "stop")
	d.step()
	d.replies("failed not-running 0 0", "complete stopped 0 0")
	if r := d.requests.last; r == nil || r.Action != "stop" || r.Result != "complete stopped 0 0" || r.Nonce != nonce(2)[:8] {
		t.Errorf("last request %+v", r)
	}
	d = newFixture(t).serving().running()
	d.request(1, "start")
	d.request(2, "start")
	d.step()
	// Pid 77 is not the process that was started, so already-running would be a
	// success without a proof.
	d.replies("failed identity-changed 77 77", "failed identity-changed 77 77")
}

// TestServeBehindAStop checks that the requests behind the stop of a stopped gateway
// are answered at once. No other event would make PID 1 look at the queue again.
func TestServeBehindAStop(t *testing.T) {
	d := newFixture(t).serving()
	for n, words := range []string{"stop", "probe", "stop", "probe"} {
		d.request(n+1, words)
	}
	d.step()
	// Equal requests that wait are merged.
	d.replies("complete stopped 0 0", "failed not-running 0 0", "complete stopped 0 0", "failed not-running 0 0")
	if d.requests.job != nil || d.requests.queue.Len() != 0 {
		t.Errorf("in progress %+v, %d wait", d.requests.job, d.requests.queue.Len())
	}
}

// TestRestartRefused checks that a restart that cannot work leaves the old gateway.
func TestRestartRefused(t *testing.T) {
	d := newFixture(t).serving().running()
	d.unsafe = errors.New("executable is writable by others")
	d.request(1, "restart rotate=1")
	d.step()
	d.unsafe, d.token.fail = nil, errors.New("no space")
	d.request(2, "restart rotate=1")
	d.step()
	d.unit.child.reported, d.kernel.verify = true, func(procfs.ID) error { return procfs.ErrHidden }
	d.request(3, "restart rotate=1")
	d.step()
	d.kernel.verify = func(procfs.ID) error { return nil }
	d.kernel.listeners = func(uint16) ([]sockets.Listener, error) { return nil, errors.New("no netlink") }
	d.request(4, "restart rotate=1")
	d.step()
	d.kernel.listeners = func(uint16) ([]sockets.Listener, error) { return nil, nil }
	d.noRoom = errors.New("60 of 64 pids are in use, and 16 more are needed")
	d.request(5, "restart rotate=1")
	d.step()
	d.noRoom, d.unprepared = nil, errors.New("cannot prepare /tmp/x: it is a file")
	d.request(6, "restart rotate=1")
	d.step()
	d.unprepared, d.gone = nil, errors.New("cannot enter the gateway's working_dir /x")
	d.request(7, "restart rotate=1")
	d.step()
	d.gone, d.token.missing = nil, fs.ErrNotExist
	d.request(8, "restart")
	d.step()
	d.replies("failed unsafe-config 77 77", "failed token-failed 77 77", "failed unproven 77 77", "failed unproven 77 77", "failed no-room 77 77",
		"failed prepare-failed 77 77", "failed launch-failed 77 77", "failed token-failed 77 77")
	if d.unit.phase != phaseRunning || d.unit.token.rotate || d.token.prepared != 1 || len(d.unit.events) != 0 {
		t.Errorf("phase %v, rotate %v, prepared %d times", d.unit.phase, d.unit.token.rotate, d.token.prepared)
	}
}

// TestStopSupersedes checks that a stop supersedes the start that is being proven,
// and those that wait before it. Requests after the stop keep waiting.
func TestStopSupersedes(t *testing.T) {
	d := newFixture(t).serving()
	d.unit.phase = phaseStarting
	for n, words := range []string{"start", "recover", "stop", "start"} {
		d.request(n+1, words)
	}
	d.inProgress(d.requests.queue.Next(), requestAwaitingStart)
	d.serve()
	d.replies("failed superseded 0 0", "failed superseded 0 0", "accepted", "accepted")
	if d.requests.state != requestAwaitingStop || len(d.unit.events) != 1 || d.unit.events[0] != eventStop {
		t.Errorf("%v, events %v", d.requests.state, d.unit.events)
	}
	d.unit.events = nil
	d.tell(outcomeStopped, "")
	d.replies("failed superseded 0 0", "failed superseded 0 0", "complete stopped 0 0", "accepted")
}

// TestShutdownRefusesQueuedRequests checks that waiting requests are refused when the
// container ends. A stop that is under way is still answered by the stop.
func TestShutdownRefusesQueuedRequests(t *testing.T) {
	d := newFixture(t).serving()
	for n, words := range []string{"stop", "restart", "probe", "probe"} {
		d.request(n+1, words)
	}
	d.inProgress(d.requests.queue.Next(), requestAwaitingStop)
	d.shutdown.begun = true
	d.serve()
	d.replies("accepted", "failed shutting-down 0 0", "failed shutting-down 0 0", "failed shutting-down 0 0")
	d.tell(outcomeStopped, "")
	d.replies("complete stopped 0 0")
}

// TestReloaded checks that a reload sends the configured signal to a gateway that serves,
// and answers only after a proof. Otherwise it sends none.
func TestReloaded(t *testing.T) {
	d := newFixture(t).serving().running()
	p := &signalled{}
	d.unit.child = &child{proc: p, started: time.Now(), reported: true}
	d.request(1, "reload")
	d.step()
	d.unit.phase = phaseStarting
	d.g.Reload = syscall.SIGHUP
	d.request(2, "reload")
	d.step()
	d.replies("failed no-reload 77 77", "failed not-running 77 0")
	if p.got != nil {
		t.Errorf("it got %v", p.got)
	}
	d.unit.phase = phaseRunning
	d.kernel.verify = func(procfs.ID) error { return procfs.ErrHidden } // the proof cannot be made
	d.request(3, "reload")
	d.step()
	if !slices.Equal(p.got, []syscall.Signal{syscall.SIGHUP}) || d.reply(3) != "failed unproven 77 77" {
		t.Errorf("it got %v, the requester reads %q", p.got, d.reply(3))
	}
}

// signalled is a process that keeps the signals that it is sent.
type signalled struct{ got []syscall.Signal }

func (p *signalled) Pid() int                             { return 77 }
func (p *signalled) PIDFD() int                           { return -1 }
func (p *signalled) Signal(sig syscall.Signal) error      { p.got = append(p.got, sig); return nil }
func (p *signalled) SignalGroup(sig syscall.Signal) error { return p.Signal(sig) }
func (p *signalled) SignalRest(sig syscall.Signal) error  { return p.Signal(sig) }
func (p *signalled) Close()                               {}

// TestRecovered checks that recover leaves a gateway alone that serves or cannot be
// judged. Only repeated definite failure replaces a gateway that is alive.
func TestRecovered(t *testing.T) {
	bad := result{definite: true, reason: reason.HealthTimeout}
	foreign := result{reason: reason.ListenerForeign}
	for name, c := range map[string]struct {
		results []result
		reply   string
		events  int
	}{
		"serves":                {[]result{{ok: true}}, "complete already-running 77 77", 0},
		"serves-at-second-look": {[]result{bad, {ok: true}}, "complete already-running 77 77", 0},
		"foreign":               {[]result{foreign}, "failed listener-foreign 77 77", 0},
		"foreign-in-between":    {[]result{bad, bad, bad, foreign}, "failed listener-foreign 77 77", 0},
		"three-times-down":      {[]result{bad, bad, bad}, "accepted", 0},
		"four-times-down":       {[]result{bad, bad, bad, bad}, "accepted", 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t).serving().running()
			d.request(1, "recover")
			d.inProgress(d.requests.queue.Next(), requestRecovering)
			for i, r := range c.results {
				d.timers.cancel(attemptTimer)
				d.finds(requestProof, r)
				if again := d.timers.armed(attemptTimer); again != (r.definite && i < recoverTries-1) {
					t.Errorf("after result %d another look is armed: %v", i+1, again)
				}
			}
			d.replies(c.reply)
			if len(d.unit.events) != c.events || c.events == 1 && d.unit.events[0] != eventRestart {
				t.Errorf("events %v", d.unit.events)
			}
		})
	}
}

// TestHealthChecked checks that unknown and foreign change no count, so the agent
// cannot make us kill a gateway that serves. Four definite failures in a row end it.
func TestHealthChecked(t *testing.T) {
	good, bad := result{ok: true}, result{definite: true, reason: reason.HealthTimeout, detail: "no answer"}
	foreign, unknown := result{reason: reason.ListenerForeign}, result{reason: proof.Unproven.Reason()}
	for name, c := range map[string]struct {
		results  []result
		state    string
		failures int
		ended    bool
	}{
		"serving":            {[]result{good}, status.Serving, 0, false},
		"three":              {[]result{bad, bad, bad}, status.NotServing, 3, false},
		"four":               {[]result{bad, bad, bad, bad}, status.NotServing, 4, true},
		"not-in-a-row":       {[]result{bad, bad, bad, good, bad}, status.NotServing, 1, false},
		"foreign-for-ever":   {[]result{foreign, foreign, foreign, foreign, foreign, foreign}, status.Unknown, 0, false},
		"unknown-for-ever":   {[]result{good, unknown, unknown, unknown, unknown, unknown}, status.Unknown, 0, false},
		"unknown-in-between": {[]result{bad, unknown, bad, foreign, bad, unknown}, status.NotServing, 3, false},
		"back-again":         {[]result{bad, bad, unknown, good}, status.Serving, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t).running()
			for _, r := range c.results {
				d.finds(healthProof, r)
			}
			if h := d.prover.health; h.State != c.state || h.Failures != c.failures {
				t.Errorf("health %q with %d failures, want %q with %d", h.State, h.Failures, c.state, c.failures)
			}
			definite := 0
			for _, r := range c.results {
				if r.definite {
					definite++
				}
			}
			if d.fill(); d.rec.Health.Failed != definite {
				t.Errorf("%d failures in total, want %d", d.rec.Health.Failed, definite)
			}
			if ended := len(d.unit.events) > 0; ended != c.ended || d.unit.crashes > 0 != c.ended {
				t.Errorf("given up: %v, %d crashes", ended, d.unit.crashes)
			}
		})
	}
}

// TestStatusIsThereBeforeTheAnswer checks that an answer never comes before its
// status, for example complete for a restart of a gateway that does not serve yet.
func TestStatusIsThereBeforeTheAnswer(t *testing.T) {
	d := newFixture(t).serving()
	d.unit.phase, d.shutdown.over = phaseStopped, true // one round, without a wait for another event
	publish := d.c.Publish
	d.c.Publish = func(r status.Record) error {
		if got := d.written(1); got != "" {
			t.Errorf("the requester has %q before the record", got)
		}
		return publish(r)
	}
	d.request(1, "stop")
	d.round()
	if len(d.published) != 1 || d.published[0].LastRequest == nil {
		t.Errorf("published %+v", d.published)
	}
	if got := d.written(1); got != "complete stopped 0 0" {
		t.Errorf("the requester has %q", got)
	}
}

// TestReplyCannotBeWritten checks that the next reply is written all the same.
func TestReplyCannotBeWritten(t *testing.T) {
	d := newFixture(t).serving()
	replies := filepath.Join(d.dir, control.Dir, control.Replies)
	check(t, os.Mkdir(filepath.Join(replies, nonce(1)+fsafe.NewSuffix), 0o700)) // blocks the first reply
	d.request(1, "reboot")
	d.request(2, "reboot")
	d.replies("", "failed unknown-action 0 0")
	if !strings.Contains(d.log.String(), evReplyWriteFailed) || len(d.requests.replies) != 0 {
		t.Errorf("logged %s", d.log.String())
	}
}
