// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// nextInput waits for one event and handles it.
func (s *Supervisor) nextInput() {
	s.orphansOnly = false
	s.notePause() // one that came while the last input was handled
	alarm := s.timers.set(time.Now())
	select {
	case in := <-s.c.Server.Requests():
		s.notePause()
		s.receive(in)
	case <-s.c.Signals.Child:
		s.notePause()
		if s.reap() {
			s.c.Signals.again()
		}
		s.shutdown.resumeCommand()
	case a := <-s.answers:
		s.notePause()
		s.answered(a)
	case r := <-s.relay.asks:
		s.notePause()
		s.relayAsked(r.Generation)
	case sig := <-s.c.Signals.Stop:
		s.notePause()
		s.signalled(sig)
	case sig := <-s.c.Signals.Noted:
		s.notePause()
		s.shutdown.noteIgnored(sig)
	case <-s.c.Signals.Shared:
		s.notePause()
		s.c.Signals.shared()
	case <-alarm:
		s.notePause()
		for k, ok := s.timers.take(time.Now()); ok; k, ok = s.timers.take(time.Now()) {
			s.elapsed(k)
		}
	}
}

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

// notePause puts off all deadlines of a process by the time in which the container was
// paused.
func (s *Supervisor) notePause() {
	paused := s.timers.putOff(time.Now())
	if paused == 0 {
		return
	}
	s.unit.putOff(paused)
	s.sidecars.putOff(paused)
	s.log.Info().Str("event", evPaused).Stringer("for", paused.Round(time.Millisecond)).Msg("no process ran; deadlines are later by that time")
}

// handleEvents applies the posted events, and begins requests until one of them waits
// for an event, or none is left. A request that does not wait is answered at once, so
// the next one can begin.
func (s *Supervisor) handleEvents() {
	s.apply()
	for s.serve() {
		s.apply()
	}
}

// apply carries out the actions of the posted events, in order.
func (s *Supervisor) apply() {
	for a, ok := s.unit.next(); ok; a, ok = s.unit.next() {
		s.do(a)
	}
}

// reapLimit bounds one turn of the loop, so that 20,000 orphans delay nothing
// else.
const reapLimit = 256

// reap reaps every child that has ended, and reports whether it stopped early. One
// SIGCHLD may stand for many exits, so it goes on until the kernel has no more.
func (s *Supervisor) reap() (more bool) {
	s.orphansOnly = true
	for range reapLimit {
		c, ok := s.reapOne()
		if !ok {
			return false
		}
		if c == nil {
			continue // an orphan that was handed to us
		}
		s.orphansOnly = false
		if c.end() {
			s.ended(c)
		}
	}
	return true
}

// answered handles a re-exec child's answer.
func (s *Supervisor) answered(a answer) {
	s.common.answered(a)
	s.trimMemory = s.trimMemory || a.c.role == roleCommand // mostly the last work for now
	if a.err == nil && a.c == s.unit.child && s.unit.executed() {
		s.beginShutdown()
	}
	if a.c.end() {
		s.ended(a.c)
	}
}

// ended handles the end of a child whose exit and answer have arrived.
func (s *Supervisor) ended(c *child) {
	switch c.role {
	case roleGateway:
		s.gatewayEnded(c)
	case roleWorker:
		s.proved(s.prover.workerEnded(c))
	case roleSidecar:
		s.sidecarEnded(c.sidecar)
	case roleRelay:
		s.relay.gone()
	case roleCommand:
		s.commandEnded(c)
	}
}

// elapsed handles a timer that has expired.
func (s *Supervisor) elapsed(k timerKind) {
	switch k {
	case graceTimer:
		s.unit.post(eventGraceOver)
	case retryTimer:
		s.unit.post(eventRetry)
	case sweepTimer:
		s.checkSweep()
	case attemptTimer:
		s.attempt()
	case workerTimer:
		s.prover.killWorker()
	case readyTimer:
		s.readyTimeout()
	case neverServedTimer:
		s.neverServedTimeout()
	case healthTimer:
		s.checkHealth()
	case shutdownTimer:
		s.pollShutdown()
	case shutdownGraceTimer:
		s.forceShutdown()
	case sidecarTimer:
		s.tendSidecars()
	case relayTimer:
		s.relay.start()
	}
}
