// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// This file connects the requests with the gateway: it begins each request in its
// turn, tells the request in progress what happens, and carries out its wishes.

// receive handles a frame from the FIFO.
func (s *Supervisor) receive(in control.Incoming) {
	refusal := reason.Reason("")
	switch {
	case s.shutdown.begun:
		refusal = reason.ShuttingDown
	case s.c.Gateway == nil:
		refusal = reason.NotPermitted
	}
	s.requests.receive(in, refusal)
}

// deliver writes the answers. An answer that cannot be written is logged, and the
// effect of its request stands.
func (s *Supervisor) deliver() {
	for r, ok := s.requests.nextReply(); ok; r, ok = s.requests.nextReply() {
		if err := s.c.Server.Reply(r); err != nil {
			s.log.Error().Str("event", evReplyWriteFailed).Str("nonce", r.Nonce[:8]).Str("result", r.Result()).Err(err).Msg("")
		}
	}
}

// serve begins waiting requests, in order, until one of them has posted an event,
// and reports whether it began any. A stop does not wait for a start that is not
// proven yet, but supersedes it.
func (s *Supervisor) serve() (began bool) {
	if s.shutdown.begun {
		s.requests.shutDown(s.unit.child.pid())
		return false
	}
	if stop := s.requests.supersede(s.unit.child.pid()); stop != nil {
		s.begin(stop)
		began = true
	}
	for s.requests.job == nil && len(s.events) == 0 {
		j := s.requests.queue.Next()
		if j == nil {
			return began
		}
		s.begin(j)
		began = true
	}
	return began
}

// begin starts a request. Its state is set before anything that can fail, so that an
// outcome finds it.
func (s *Supervisor) begin(j *control.Job) {
	c, why, pid := beginRequest(j.Action, s.situation()), s.unit.trouble.reason, s.unit.child.pid()
	s.requests.begin(j, pid, c.next)
	switch j.Action {
	case control.Stop:
		s.post(eventStop)
	case control.Probe:
		if c.decision == answerFailed {
			why, pid = reason.NotRunning, 0
		}
	case control.Restart:
		if refusal := s.prepareRestart(j); refusal != "" {
			c, why = requestCell{requestIdle, answerFailed}, refusal
		}
	}
	s.carryOutWish(s.requests.decide(c, why, pid))
}

func (s *Supervisor) situation() situation {
	return situation{phase: s.unit.phase, executed: s.unit.start.executed, readyTimedOut: s.unit.start.readyTimedOut,
		down: s.prover.health.State == status.NotServing, proving: s.prover.run != nil}
}

// tell applies an outcome to the request in progress, and carries out its wish.
func (s *Supervisor) tell(o outcome, why reason.Reason) {
	v := s.requests.on(o, why, s.unit.child.pid())
	s.carryOutWish(v)
}

// carryOutWish carries out a wish of the request in progress.
func (s *Supervisor) carryOutWish(v decision) {
	switch v {
	case wishStart:
		s.post(eventStart)
	case wishRestart:
		s.post(eventRestart)
	case wishProof:
		if n := s.requests.tries; n > 0 {
			s.timers.arm(attemptTimer, healthPauseFirst<<n)
			return
		}
		s.attempt()
	}
}

// tellResult applies the result of a proof that the request in progress has asked for.
func (s *Supervisor) tellResult(r result) {
	switch {
	case r.ok:
		s.tell(outcomeProven, "")
	case r.definite:
		s.tell(outcomeDown, r.reason)
	default:
		s.tell(outcomeUnknown, r.reason)
	}
}

// prepareRestart does all that can fail while the old gateway still serves, so that a
// refusal leaves that gateway alone. It returns the reason of a refusal, or "".
func (s *Supervisor) prepareRestart(j *control.Job) reason.Reason {
	if err := s.c.Validate(); err != nil {
		s.log.Warn().Str("event", evRefused).Str("reason", string(reason.UnsafeConfig)).Err(err).Msg("")
		return reason.UnsafeConfig
	}
	if beside := s.foreignBeside(); beside != "" {
		s.log.Warn().Str("event", evRefused).Str("reason", string(reason.ListenerForeign)).Str("detail", beside).Msg("")
		return reason.ListenerForeign
	}
	if j.Rotate {
		if err := s.c.Token.Prepare(); err != nil {
			s.log.Warn().Str("event", evRefused).Str("reason", string(reason.TokenFailed)).Err(err).Msg("")
			return reason.TokenFailed
		}
		s.unit.token.rotate = true
	}
	s.unit.drain = time.Duration(j.Drain) * time.Second
	if !s.unit.child.alive() {
		s.stopSidecars() // sidecars that outlived a crash do not have a new token
	}
	return ""
}

// foreignBeside describes a foreign listener beside a gateway that listens itself,
// or returns "". Such a gateway must not be stopped, because it could not start
// again, and an agent that holds the port would turn a restart into an outage.
func (s *Supervisor) foreignBeside() string {
	if s.unit.phase != phaseRunning {
		return ""
	}
	ls, _, foreign, err := s.judgeListeners()
	if err != nil || len(foreign) == 0 || len(foreign) == len(ls) {
		return ""
	}
	return s.foreignText(foreign[0])
}

// stage returns the progress word that a waiting client sees.
func (s *Supervisor) stage() string {
	switch {
	case s.unit.phase == phaseRestarting || s.unit.phase == phaseStopping:
		return "stopping"
	case s.unit.phase == phaseStarting && s.unit.start.executed, s.prover.run != nil:
		return "proving"
	case s.unit.phase == phaseStarting:
		return "starting"
	}
	return "accepted"
}
