// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"errors"
	"strconv"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Bounds of proving.
const (
	healthLimit       = 4                      // not-serving results in a row before the gateway is replaced
	neverServedFactor = 4                      // times ready.timeout before a gateway that never served is replaced
	proofPauseFirst   = time.Millisecond       // pause between looks for the listener; doubles
	proofPauseLast    = 250 * time.Millisecond // longest pause
	healthPauseFirst  = 50 * time.Millisecond  // pause between workers; doubles
	healthPauseLast   = time.Second            // longest pause
	workerSlack       = 2 * time.Second        // beyond the worker's own deadline, to start and end
)

// result is the result of a proof. A signal that the proof did not reach is
// not-available.
type result struct {
	ok       bool
	definite bool // the gateway certainly does not serve
	reason   reason.Reason
	detail   string
	asked    bool // a worker was used, so the pause before the next proof is longer
	signals  status.Proof
}

// proofRun is a proof in progress. There is at most one.
type proofRun struct {
	mode   proof.Mode
	worker *child
	end    func(result)
	r      result
}

// check proves the gateway and calls end from the loop, at once or later. It
// abandons a proof in progress, because the new one is at least as important.
func (s *Supervisor) check(mode proof.Mode, end func(result)) {
	s.cancelRun()
	now := time.Now()
	u := &proofRun{mode: mode, end: end, r: result{signals: status.Proof{
		Child: status.NotAvailable, Listener: status.NotAvailable,
		Ready: status.NotAvailable, Auth: status.NotAvailable, At: &now}}}
	s.proof = u
	if s.before(u) {
		s.ask(u)
	} else {
		s.finishRun(u)
	}
}

// cancelRun abandons the proof in progress. It kills the worker, and ignores an
// answer that still comes.
func (s *Supervisor) cancelRun() {
	if s.proof == nil {
		return
	}
	if w := s.proof.worker; w.alive() {
		w.asked = true
		w.signal(syscall.SIGKILL)
	}
	s.proof = nil
	s.timers.cancel(workerTimer)
}

// before makes the checks that need no network, first of the child, then of the
// listener. It reports whether both held.
func (s *Supervisor) before(u *proofRun) bool { return s.childHeld(u) && s.listenerHeld(u) }

func (s *Supervisor) childHeld(u *proofRun) bool {
	if !s.gateway.alive() {
		u.r.fail(&u.r.signals.Child, reason.NotRunning, "there is no gateway process", true)
		return false
	}
	if err := s.gateway.id.Verify(); err != nil {
		u.r.fail(&u.r.signals.Child, reason.IdentityChanged, err.Error(), false)
		return false
	}
	u.r.signals.Child = status.Held
	return true
}

func (s *Supervisor) listenerHeld(u *proofRun) bool {
	_, o, foreign, err := s.judgeListeners()
	if err != nil {
		u.r.reason, u.r.detail = reason.Unproven, err.Error()
		return false
	}
	switch o {
	case proof.Missing:
		u.r.fail(&u.r.signals.Listener, reason.ListenerMissing, "no process listens on port "+formatInt(int(s.g.Port)), true)
		return false
	case proof.Foreign:
		s.killHolders("another process listens on the gateway's port")
		u.r.signals.Foreign = listeners(foreign)
		u.r.fail(&u.r.signals.Listener, reason.ListenerForeign, s.foreignText(foreign[0]), false)
		return false
	}
	u.r.signals.Listener = status.Held
	return true
}

// judgeListeners returns the listeners on the gateway's port, and decides whether
// they are the gateway's. It compares uids. Where all processes have one uid, it
// looks for the processes that have the sockets open. A client may have connected
// to a foreign listener, so the token counts as known from then on.
func (s *Supervisor) judgeListeners() (ls []sockets.Listener, o proof.Ownership, foreign []sockets.Listener, err error) {
	ls, err = sockets.Listeners(s.g.Port)
	switch {
	case err != nil:
	case s.c.Unseparated:
		o, foreign, err = proof.JudgeHolders(ls, s.gateway.pid())
	default:
		o, foreign = proof.Judge(ls, s.c.Gateway.UID)
	}
	if err == nil && o == proof.Foreign {
		s.markTokenExposed(seenForeign)
	}
	return ls, o, foreign, err
}

func (s *Supervisor) foreignText(l sockets.Listener) string {
	whose := " is held by no process of the gateway"
	if !s.c.Unseparated { // without separation all have one uid
		whose = " belongs to uid " + formatInt(int(l.UID))
	}
	return l.Addr.String() + whose
}

func (r *result) fail(signal *string, why reason.Reason, detail string, definite bool) {
	*signal = status.Failed
	r.reason, r.detail, r.definite = why, detail, definite
}

// ask starts a worker with the gateway's UID for the network part. If the fork is
// refused, the result is unproven.
func (s *Supervisor) ask(u *proofRun) {
	job := proof.Job{Mode: u.mode, Port: s.g.Port, UID: s.c.Gateway.UID, Check: s.g.Health}
	if s.c.Unseparated {
		job.PID = s.gateway.pid()
	}
	job.Deadline = s.g.Health.Timeout
	if u.mode == proof.Prove {
		job.Check, job.Auth = s.g.Ready, s.g.AuthCheck
	}
	u.r.asked = true
	l := s.c.Worker
	if job.Auth != nil {
		l.Spec.Token = &launch.Token{}
	}
	data, err := json.Marshal(job)
	if err == nil {
		l.Spec.Worker = data
		u.worker = &child{done: func(c *child) { s.workerDone(u, c) }}
		err = s.start(l, u.worker)
	}
	switch {
	case errors.Is(err, errToken):
		u.worker = nil
		u.r.fail(&u.r.signals.Auth, reason.TokenFailed, err.Error(), false)
		s.finishRun(u)
		return
	case err != nil:
		u.worker = nil
		u.r.reason, u.r.detail = reason.Unproven, err.Error()
		s.finishRun(u)
		return
	}
	s.timers.arm(workerTimer, job.Deadline+workerSlack)
}

// workerLate kills a worker that did not keep its own deadline, because it was
// stopped or starved.
func (s *Supervisor) workerLate() {
	if u := s.proof; u != nil && u.worker.alive() {
		u.worker.signal(syscall.SIGKILL)
	}
}

// workerDone takes the worker's verdict. After an OK it checks the listener and the
// child once more.
func (s *Supervisor) workerDone(u *proofRun, c *child) {
	if s.proof != u {
		return
	}
	s.timers.cancel(workerTimer)
	verdict, ok := proof.Unproven, false
	if c.exit.Status.Exited() {
		verdict, ok = proof.FromExit(c.exit.Status.ExitStatus())
	}
	switch {
	case !ok:
		u.r.reason, u.r.detail = reason.Unproven, "the worker ended with "+formatInt(c.exit.Code())
	case verdict == proof.OK:
		u.r.signals.Ready = status.Held
		if u.mode == proof.Prove && s.g.AuthCheck != nil {
			u.r.signals.Auth = status.Held
		}
		u.r.ok = s.listenerHeld(u) && s.childHeld(u)
	default:
		s.judge(u, verdict)
	}
	s.finishRun(u)
}

// judge records a verdict under the signal that it is about.
func (s *Supervisor) judge(u *proofRun, v proof.Verdict) {
	switch v.Reason() {
	case reason.AuthMismatch, reason.TokenChanged, reason.TokenFailed:
		u.r.signals.Ready = status.Held
		u.r.fail(&u.r.signals.Auth, v.Reason(), v.String(), v.Definite())
	case reason.ListenerForeign, reason.ListenerMissing:
		if v == proof.ForeignPeer {
			s.markTokenExposed(seenForeign)
		}
		u.r.fail(&u.r.signals.Listener, v.Reason(), v.String(), v.Definite())
	case reason.Unproven:
		u.r.reason, u.r.detail = reason.Unproven, v.String()
	default:
		u.r.fail(&u.r.signals.Ready, v.Reason(), v.String(), v.Definite())
	}
}

func (s *Supervisor) finishRun(u *proofRun) {
	s.proof = nil
	if u.mode == proof.Health { // a health check says nothing about the token
		u.r.signals.Auth = s.rec.Proof.Auth
	}
	s.rec.Proof, s.dirty = u.r.signals, true
	u.end(u.r)
}

// beginProof makes the first attempt to prove a gateway that was just executed.
func (s *Supervisor) beginProof() {
	s.proofPause = proofPauseFirst
	s.attempt()
}

// attempt tries once to prove a gateway that is starting, or makes the next proof
// of a recover.
func (s *Supervisor) attempt() {
	if s.phase == phaseStarting {
		s.check(proof.Prove, s.attempted)
	} else {
		s.check(proof.Prove, s.recovered)
	}
}

func (s *Supervisor) attempted(r result) {
	if t := s.task; t != nil && t.job.Action == control.Probe {
		s.probed(r)
	}
	if r.ok {
		s.post(eventProven)
		return
	}
	s.startTrouble(r.reason, r.detail)
	first, last := proofPauseFirst, proofPauseLast
	if r.asked || r.reason != reason.ListenerMissing {
		first, last = healthPauseFirst, healthPauseLast
	}
	s.proofPause = min(max(2*s.proofPause, first), last)
	s.timers.arm(attemptTimer, s.proofPause)
	s.rec.Health = status.Health{State: status.Unknown, Limit: healthLimit, At: r.signals.At, Detail: r.detail}
	if r.definite {
		s.rec.Health.State = status.NotServing
	}
}

// readyTimeout handles the end of ready.timeout. A requester that waits gets its
// answer, and the attempts go on.
func (s *Supervisor) readyTimeout() {
	s.dirty = true // the record no longer has the time of ready.timeout
	s.readyTimedOut = true
	// No attempt has ended yet, or the last one ended before the gateway listened.
	if awaited := s.proof != nil && s.proof.r.asked; s.rec.Reason == "" || awaited && s.rec.Reason == reason.ListenerMissing {
		s.startTrouble(reason.HealthTimeout, "no answer within "+s.g.Ready.Timeout.String())
	}
	s.log.Warn().Str("event", evReadyTimeout).Str("reason", string(s.rec.Reason)).Str("detail", s.rec.Detail).Msg("")
	s.failStart(s.rec.Reason)
	s.beginCommand()
}

// neverServedTimeout gives up a gateway that is definitely not serving. Any other
// gateway gets another ready.timeout.
func (s *Supervisor) neverServedTimeout() {
	if s.rec.Health.State != status.NotServing {
		s.timers.arm(neverServedTimer, s.g.Ready.Timeout)
		return
	}
	s.giveUp("it never served")
}

// giveUp replaces a gateway that is alive but does not serve.
func (s *Supervisor) giveUp(why string) {
	s.rec.Crashes++
	s.backoff.streak++
	s.log.Warn().Str("event", evUnresponsive).Int("pid", s.gateway.pid()).Str("detail", s.rec.Detail).Msg(why)
	s.joinStart()
	s.post(eventRestart)
}

// checkHealth makes the regular health check of a running gateway. It does not
// disturb a proof that a request has started.
func (s *Supervisor) checkHealth() {
	s.timers.arm(healthTimer, s.g.Health.Interval)
	s.checkFIFO()
	s.recordDescendants()
	if s.proof == nil {
		s.check(proof.Health, s.healthChecked)
	}
}

func (s *Supervisor) healthChecked(r result) {
	s.trimMemory = true
	s.noteHealth(r)
	if s.rec.Health.Failures >= healthLimit {
		s.giveUp("health checks failed")
	}
}

// noteHealth counts the definite failures. An unknown result does not change the
// count. A foreign listener never counts, because the agent must not be able to
// make us kill a healthy gateway.
func (s *Supervisor) noteHealth(r result) {
	switch {
	case r.ok:
		s.rec.Reason, s.rec.Detail = "", ""
		s.recordServing()
	case r.definite:
		s.rec.Health.State = status.NotServing
		s.rec.Health.Failures++
		s.rec.Health.Detail, s.rec.Health.At = r.detail, r.signals.At
		s.startTrouble(r.reason, r.detail)
	default:
		if s.rec.Health.Failures == 0 {
			s.rec.Health.State = status.Unknown
		}
		s.rec.Health.Detail, s.rec.Health.At = r.detail, r.signals.At
		s.startTrouble(r.reason, r.detail)
	}
	if !r.ok {
		s.log.Warn().Str("event", evHealth).Str("reason", string(r.reason)).Str("detail", r.detail).
			Int("failures", s.rec.Health.Failures).Msg("")
	}
}

// recordServing and recordNotServing set the health field.
func (s *Supervisor) recordServing() {
	now := time.Now()
	s.rec.Health = status.Health{State: status.Serving, Limit: healthLimit, At: &now}
	s.dirty = true
}

func (s *Supervisor) recordNotServing(detail string) {
	s.rec.Health = status.Health{State: status.NotServing, Limit: healthLimit, Detail: detail}
	s.rec.Proof = status.Proof{Child: status.NotAvailable, Listener: status.NotAvailable,
		Ready: status.NotAvailable, Auth: status.NotAvailable, Foreign: s.rec.Proof.Foreign}
	s.dirty = true
}

func formatInt(n int) string { return strconv.Itoa(n) }
