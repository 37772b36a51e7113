// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// attempt tries once to prove a gateway that is starting, or makes the proof that a
// request has asked for.
func (s *Supervisor) attempt() {
	if s.unit.phase == phaseStarting {
		s.check(proof.Prove, s.attempted)
	} else {
		s.check(proof.Prove, s.requestProved)
	}
}

// requestProved handles the result of a proof of a running gateway that a request has
// asked for.
func (s *Supervisor) requestProved(r result) {
	s.noteHealth(r)
	s.tellResult(r)
}

func (s *Supervisor) attempted(r result) {
	if s.requests.state == requestProbing {
		s.tellResult(r)
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
	s.prover.pause = min(max(2*s.prover.pause, first), last)
	s.timers.arm(attemptTimer, s.prover.pause)
	s.prover.health = status.Health{State: status.Unknown, Limit: healthLimit, At: r.signals.At, Detail: r.detail}
	if r.definite {
		s.prover.health.State = status.NotServing
	}
}

// beginProof makes the first attempt to prove a gateway that was just executed.
func (s *Supervisor) beginProof() {
	s.prover.pause = proofPauseFirst
	s.attempt()
}

// readyTimeout handles the end of ready.timeout. A requester that waits gets its
// answer, and the attempts go on.
func (s *Supervisor) readyTimeout() {
	s.unit.start.readyTimedOut = true
	// No attempt has ended yet, or the last one ended before the gateway listened.
	if awaited := s.prover.run != nil && s.prover.run.r.asked; s.unit.trouble.reason == "" || awaited && s.unit.trouble.reason == reason.ListenerMissing {
		s.startTrouble(reason.HealthTimeout, "no answer within "+s.g.Ready.Timeout.String())
	}
	s.log.Warn().Str("event", evReadyTimeout).Str("reason", string(s.unit.trouble.reason)).Str("detail", s.unit.trouble.detail).Msg("")
	s.tell(outcomeFailed, s.unit.trouble.reason)
	s.beginCommand()
}

// neverServedTimeout gives up a gateway that is definitely not serving. Any other
// gateway gets another ready.timeout.
func (s *Supervisor) neverServedTimeout() {
	if s.prover.health.State != status.NotServing {
		s.timers.arm(neverServedTimer, s.g.Ready.Timeout)
		return
	}
	s.giveUp("it never served")
}

// giveUp replaces a gateway that is alive but does not serve.
func (s *Supervisor) giveUp(why string) {
	s.unit.crashes++
	s.unit.backoff.streak++
	s.log.Warn().Str("event", evUnresponsive).Int("pid", s.unit.child.pid()).Str("detail", s.unit.trouble.detail).Msg(why)
	s.tell(outcomeReplaced, "")
	s.post(eventRestart)
}

// checkHealth makes the regular health check of a running gateway. It does not
// disturb a proof that a request has started.
func (s *Supervisor) checkHealth() {
	s.timers.arm(healthTimer, s.g.Health.Interval)
	s.checkFIFO()
	s.recordDescendants()
	if s.prover.run == nil {
		s.check(proof.Health, s.healthChecked)
	}
}

func (s *Supervisor) healthChecked(r result) {
	s.trimMemory = true
	s.noteHealth(r)
	if s.prover.health.Failures >= healthLimit {
		s.giveUp("health checks failed")
	}
}

// noteHealth counts the definite failures. An unknown result does not change the
// count. A foreign listener never counts, because the agent must not be able to
// make us kill a healthy gateway.
func (s *Supervisor) noteHealth(r result) {
	switch {
	case r.ok:
		s.unit.trouble.reason, s.unit.trouble.detail = "", ""
		s.recordServing()
	case r.definite:
		s.prover.health.State = status.NotServing
		s.prover.health.Failures++
		s.prover.health.Detail, s.prover.health.At = r.detail, r.signals.At
		s.startTrouble(r.reason, r.detail)
	default:
		if s.prover.health.Failures == 0 {
			s.prover.health.State = status.Unknown
		}
		s.prover.health.Detail, s.prover.health.At = r.detail, r.signals.At
		s.startTrouble(r.reason, r.detail)
	}
	if !r.ok {
		s.log.Warn().Str("event", evHealth).Str("reason", string(r.reason)).Str("detail", r.detail).
			Int("failures", s.prover.health.Failures).Msg("")
	}
}

// recordServing and recordNotServing set the health field.
func (s *Supervisor) recordServing() {
	now := time.Now()
	s.prover.health = status.Health{State: status.Serving, Limit: healthLimit, At: &now}
}

func (s *Supervisor) recordNotServing(detail string) {
	s.prover.health = status.Health{State: status.NotServing, Limit: healthLimit, Detail: detail}
	s.prover.signals = status.Proof{Child: status.NotAvailable, Listener: status.NotAvailable,
		Ready: status.NotAvailable, Auth: status.NotAvailable, Foreign: s.prover.signals.Foreign}
}
