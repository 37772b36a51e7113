// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"errors"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Bounds of proving.
const (
	healthLimit       = policy.Failures  // not-serving results in a row before the gateway is replaced
	neverServedFactor = 4                // times ready.timeout before a gateway that never served is replaced
	proofPauseFirst   = policy.LookFirst // pause between looks for the listener; doubles
	proofPauseLast    = policy.LookLast  // longest pause
	healthPauseFirst  = policy.AskFirst  // pause between workers; doubles
	healthPauseLast   = policy.AskLast   // longest pause
	workerSlack       = 2 * time.Second  // beyond the worker's own deadline, to start and end
)

// prover owns the proofs and what they say about the gateway.
type prover struct {
	run     *proofRun // the proof in progress
	pause   time.Duration
	health  status.Health
	signals status.Proof // of the last proof
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
	s.prover.run = u
	if s.before(u) {
		s.ask(u)
	} else {
		s.finishRun(u)
	}
}

// cancelRun abandons the proof in progress. It kills the worker, and ignores an
// answer that still comes.
func (s *Supervisor) cancelRun() {
	if s.prover.run == nil {
		return
	}
	if w := s.prover.run.worker; w.alive() {
		w.asked = true
		w.signal(syscall.SIGKILL)
	}
	s.prover.run = nil
	s.timers.cancel(workerTimer)
}

// before makes the checks that need no network, first of the child, then of the
// listener. It reports whether both held.
func (s *Supervisor) before(u *proofRun) bool { return s.childHeld(u) && s.listenerHeld(u) }

func (s *Supervisor) childHeld(u *proofRun) bool {
	if !s.unit.child.alive() {
		u.r.fail(&u.r.signals.Child, reason.NotRunning, "there is no gateway process", true)
		return false
	}
	if err := s.kernel.verify(s.unit.child.id); err != nil {
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
	ls, err = s.kernel.listeners(s.g.Port)
	switch {
	case err != nil:
	case s.c.Unseparated:
		o, foreign, err = s.kernel.judge(ls, s.unit.child.pid())
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

// ask starts a worker with the gateway's UID for the network part. If the fork is
// refused, the result is unproven.
func (s *Supervisor) ask(u *proofRun) {
	job := proof.Job{Mode: u.mode, Port: s.g.Port, UID: s.c.Gateway.UID, Check: s.g.Health}
	if s.c.Unseparated {
		job.PID = s.unit.child.pid()
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
	if u := s.prover.run; u != nil && u.worker.alive() {
		u.worker.signal(syscall.SIGKILL)
	}
}

// workerDone takes the worker's verdict. After an OK it checks the listener and the
// child once more.
func (s *Supervisor) workerDone(u *proofRun, c *child) {
	if s.prover.run != u {
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
	s.prover.run = nil
	if u.mode == proof.Health { // a health check says nothing about the token
		u.r.signals.Auth = s.prover.signals.Auth
	}
	s.prover.signals = u.r.signals
	u.end(u.r)
}
