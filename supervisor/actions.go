// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// This file says what each step of a gateway's life means for the owners. It follows a
// restart: the old gateway is stopped, it ends, its processes are swept, the next one
// is launched and proved. docs/design.md, section 8, has the way of one restart.

// noCase is the message about an action that do does not know.
const noCase = "an action has no case"

// do carries out the action of a transition of the phase table.
func (s *Supervisor) do(a action) {
	switch a {
	case actStop:
		s.stop()
	case actShortenGrace:
		s.unit.shortenGrace()
		s.stopSidecars()
	case actKill:
		s.shutdown.noteKill(s.unit.kill())
	case actSweep:
		s.sweep()
	case actLaunch:
		if s.unit.launch() {
			s.prover.forget()
		}
	case actProve:
		s.prove(startProof)
	case actOnReady:
		s.onReady()
	case actScheduleRetry:
		s.scheduleRetry()
	case actOnStopped:
		s.onStopped()
	case actIgnore, actImpossible:
	default:
		s.fault(noCase, fmt.Errorf("action %d", a))
	}
}

// stop asks the gateway to end, after its sidecars. If there is none, it sweeps.
func (s *Supervisor) stop() {
	s.prover.cancel()
	if s.unit.drain == 0 { // a draining gateway may need the sidecars
		s.stopSidecars()
	}
	if !s.unit.stop() {
		s.sweep()
	}
}

// gatewayEnded handles the end of the gateway, or of its re-exec child.
func (s *Supervisor) gatewayEnded(c *child) {
	if c != s.unit.child { // its answer came late, and another gateway has taken its place
		return
	}
	s.prover.cancel()
	s.relay.end(c.life)
	s.endHolders()
	switch s.unit.ended() {
	case endedForGood:
		s.beginShutdown()
		return
	case endedByRoot:
		s.tell(outcomeReplaced, "")
	}
	s.beginCommand() // the first exit ends the wait for the first proof
}

// sweep ends all remaining processes of a former gateway. The event swept follows when
// they are gone.
func (s *Supervisor) sweep() {
	s.prover.cancel()     // the worker has the gateway's UID
	if s.unit.drain > 0 { // the draining gateway could have needed them until now
		s.unit.drain = 0
		s.stopSidecars()
	}
	s.expectSweep()
	s.unit.beginSweep()
	s.checkSweep()
}

// expectSweep is called before the gateway's processes are ended, because a sidecar may
// have the gateway's uid.
func (s *Supervisor) expectSweep() {
	if s.c.Gateway != nil && !s.c.Unseparated {
		s.sidecars.expectSweep(s.c.Gateway.UID)
	}
}

func (s *Supervisor) checkSweep() {
	if late := s.unit.checkSweep(); late {
		s.tell(outcomeFailed, reason.StopTimeout)
	}
}

// attempt tries once more to prove a gateway that is starting, or makes the proof that
// a request has asked for.
func (s *Supervisor) attempt() {
	if s.unit.phase == phaseStarting {
		s.prove(startProof)
	} else {
		s.prove(requestProof)
	}
}

// prove proves the gateway, at once or when the worker has ended.
func (s *Supervisor) prove(p purpose) { s.proved(s.prover.begin(p, s.unit.child)) }

// proved handles the result of a proof, or nil if it comes later.
func (s *Supervisor) proved(r *result) {
	if r == nil {
		return
	}
	if r.exposed {
		s.unit.expose(seenForeign)
	}
	if r.ok {
		s.relay.serve(r.life)
	}
	if len(r.signals.Foreign) > 0 {
		s.sidecars.killHolders("another process listens on the gateway's port")
	}
	switch r.purpose {
	case startProof:
		if s.requests.state == requestProbing {
			s.tellResult(r)
		}
		if r.ok {
			s.unit.post(eventProven)
			return
		}
		s.unit.makeWay(r)
		s.unit.setTrouble(r.reason, r.detail)
		s.prover.tryAgain(r, s.unit.age())
	case requestProof:
		s.note(r)
		s.tellResult(r)
	case healthProof:
		s.trimMemory = true
		if s.note(r); s.prover.health.Failures >= healthLimit {
			s.giveUp("health checks failed")
		}
	}
}

// note records what a proof says about a gateway that has served.
func (s *Supervisor) note(r *result) {
	s.prover.note(r)
	s.unit.setTrouble(r.reason, r.detail)
}

// onReady handles the first proof of a gateway. The command and the sidecars start, and
// the waiting request is answered.
func (s *Supervisor) onReady() {
	s.unit.ready()
	s.prover.ready()
	s.trimMemory = true
	s.beginCommand()
	s.sidecars.want()
	s.tendSidecars()
	s.tell(outcomeReady, "")
}

// scheduleRetry handles an exit that was not requested, or a start that failed.
func (s *Supervisor) scheduleRetry() {
	s.expectSweep() // what a crashed gateway left behind is asked to end
	foreign := s.unit.scheduleRetry()
	s.prover.notServing(s.unit.trouble.detail, foreign)
	s.tell(outcomeFailed, s.unit.trouble.reason)
}

// onStopped handles the end of a stop.
func (s *Supervisor) onStopped() {
	s.unit.stopped()
	s.prover.notServing("", s.prover.signals.Foreign)
	s.tell(outcomeStopped, "")
	if s.unit.phase == phaseTerminated {
		s.pollShutdown()
	}
}

// readyTimeout handles the end of ready.timeout. A requester that waits gets its
// answer, and the attempts go on.
func (s *Supervisor) readyTimeout() {
	if s.unit.trouble.reason == reason.ListenerMissing {
		s.prover.lookElsewhere()
		s.unit.trouble.detail += s.prover.elsewhere
	}
	s.unit.readyTimeout(s.prover.asks())
	s.tell(outcomeFailed, s.unit.trouble.reason)
	s.beginCommand()
}

// neverServedTimeout gives up a gateway that is definitely not serving. Any other
// gateway gets another ready.timeout.
func (s *Supervisor) neverServedTimeout() {
	if s.prover.isDown() {
		s.giveUp("it never served")
	} else {
		s.timers.arm(neverServedTimer, s.g.Ready.Timeout)
	}
}

// giveUp replaces a gateway that is alive but does not serve.
func (s *Supervisor) giveUp(why string) {
	s.unit.giveUp(why)
	s.tell(outcomeReplaced, "")
}

// checkHealth makes the regular health check of a running gateway. It does not
// disturb a proof that a request has started.
func (s *Supervisor) checkHealth() {
	s.timers.arm(healthTimer, s.g.Health.Interval)
	s.checkFIFO()
	s.unit.recordDescendants()
	if s.prover.run == nil {
		s.prove(healthProof)
	}
}

// relayAsked handles the relay's request to prove the gateway again, because it has seen a
// listener that the last proof did not know. At most one such proof is made a second.
func (s *Supervisor) relayAsked(generation uint64) {
	if s.unit.phase == phaseRunning && s.prover.run == nil && s.relay.wantsProof(generation, time.Now()) {
		s.prove(healthProof)
	}
}

// judgePort returns the listeners on the gateway's port, and decides whether they are
// the gateway's. A client may have connected to a foreign listener, so the token counts
// as known from then on.
func (s *Supervisor) judgePort() (ls []sockets.Listener, o proof.Ownership, foreign []sockets.Listener, err error) {
	ls, o, foreign, err = s.prover.judgePort(s.unit.child)
	if err == nil && o == proof.Foreign {
		s.unit.expose(seenForeign)
	}
	return ls, o, foreign, err
}
