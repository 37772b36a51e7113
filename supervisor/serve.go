// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// This file begins each request in its turn. answers.go answers it.

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
	for s.requests.job == nil && len(s.unit.events) == 0 {
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
		s.unit.post(eventStop)
	case control.Probe:
		if c.decision == answerFailed {
			why, pid = reason.NotRunning, 0
		}
	case control.Reload:
		switch {
		case s.g.Reload == 0:
			c, why = requestCell{requestIdle, answerFailed}, reason.NoReload
		case c.decision == answerFailed:
			why, pid = reason.NotRunning, 0
		default:
			s.unit.reload()
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
		down: s.prover.isDown(), proving: s.prover.run != nil}
}

// prepareRestart does all that can fail while the old gateway still serves, so that a
// refusal leaves that gateway alone. It returns the reason of a refusal, or "".
func (s *Supervisor) prepareRestart(j *control.Job) reason.Reason {
	if err := s.c.Validate(); err != nil {
		return s.refuseRestart(reason.UnsafeConfig, err)
	}
	if err := s.provable(); err != nil {
		return s.refuseRestart(reason.Unproven, err)
	}
	beside, err := s.freeBeside()
	switch {
	case err != nil:
		return s.refuseRestart(reason.Unproven, err)
	case beside != "":
		s.log.Warn().Str("event", evRefused).Str("reason", string(reason.ListenerForeign)).Str("detail", beside).Msg("")
		return reason.ListenerForeign
	}
	if s.unit.child.alive() { // without it there is nothing to lose by a try
		if err := s.c.Room(); err != nil {
			return s.refuseRestart(reason.NoRoom, err)
		}
		if err := s.c.Prepare(); err != nil {
			return s.refuseRestart(reason.PrepareFailed, err)
		}
		if err := s.c.Launchable(); err != nil {
			return s.refuseRestart(reason.LaunchFailed, err)
		}
		if err := s.unit.checkToken(j.Rotate); err != nil {
			return s.refuseRestart(reason.TokenFailed, err)
		}
	}
	if j.Rotate {
		if err := s.c.Token.Prepare(); err != nil {
			return s.refuseRestart(reason.TokenFailed, err)
		}
		s.unit.token.rotate = true
	}
	s.unit.drain = time.Duration(j.Drain) * time.Second
	if !s.unit.child.alive() {
		s.stopSidecars() // sidecars that outlived a crash do not have a new token
	}
	return ""
}

// provable returns why no proof could be made of a gateway that runs now. A new one could
// not be proven either, so the old one must not be stopped for it.
func (s *Supervisor) provable() error {
	g := s.unit.child
	if !g.alive() || !g.reported {
		return nil
	}
	if err := s.kernel.verify(g.id); errors.Is(err, procfs.ErrHidden) {
		return err
	}
	_, _, _, err := s.judgePort()
	return err
}

// refuseRestart logs why a restart is refused, and returns why.
func (s *Supervisor) refuseRestart(why reason.Reason, err error) reason.Reason {
	s.log.Warn().Str("event", evRefused).Str("reason", string(why)).Err(err).Msg("")
	return why
}

// foreignBeside describes a foreign listener beside a gateway that listens itself,
// or returns "". Such a gateway must not be stopped, because it could not start
// again, and an agent that holds the port would turn a restart into an outage.
// The next gateway of a hidden port has another one. An error means that this could not be
// found out.
func (s *Supervisor) foreignBeside() (string, error) {
	if s.unit.phase != phaseRunning || s.hidesPort() {
		return "", nil
	}
	ls, _, foreign, err := s.judgePort()
	if err != nil || !proof.IsBeside(ls, foreign) {
		return "", err
	}
	return s.prover.foreignText(foreign[0]), nil
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

// situation is all that decides how a request begins.
type situation struct {
	phase         phase
	executed      bool // the gateway that starts was executed
	readyTimedOut bool // it had its ready.timeout, and earlier requests are answered
	down          bool // it definitely did not serve at the last proof
	proving       bool // a proof is in progress
}

// beginRequest returns the first state of a request and the first decision on it.
// An answerFailed has the reason of the situation.
func beginRequest(action control.Action, s situation) requestCell {
	starting := s.phase == phaseStarting
	switch action {
	case control.Stop:
		return requestCell{requestAwaitingStop, wait}
	case control.Probe:
		switch {
		case s.phase == phaseRunning, starting && s.executed && !s.proving:
			return requestCell{requestProbing, wishProof}
		case starting && s.executed: // the proof in progress answers
			return requestCell{requestProbing, wait}
		}
		return requestCell{requestIdle, answerFailed}
	case control.Reload: // a gateway that starts has no handler yet
		if s.phase == phaseRunning {
			return requestCell{requestProbing, wishProof}
		}
		return requestCell{requestIdle, answerFailed}
	case control.Restart:
		return requestCell{requestAwaitingStart, wishRestart}
	case control.Start, control.Recover:
		recover := action == control.Recover
		switch {
		case s.phase == phaseRunning && recover:
			return requestCell{requestRecovering, wishProof}
		case s.phase == phaseRunning:
			return requestCell{requestChecking, wishProof}
		case starting && s.readyTimedOut && s.down && recover:
			return requestCell{requestAwaitingStart, wishRestart}
		case starting && s.readyTimedOut: // alive, and earlier requests were answered
			return requestCell{requestIdle, answerFailed}
		}
		return requestCell{requestAwaitingStart, wishStart}
	}
	return requestCell{requestIdle, answerFailed} // Decode lets no other action pass
}
