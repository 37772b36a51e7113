// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/status"
)

// Supervisor is the loop. It hands events to five owners and carries out what they
// decide. Everything below belongs to the goroutine of Run.
type Supervisor struct {
	c   Config
	g   config.Gateway
	log zerolog.Logger

	kernel kernel

	events   []event // posted, not yet applied
	timers   *timers
	children map[int]*child // by pid, until reaped
	answers  chan answer

	unit     gatewayUnit
	prover   prover
	requests requests
	sidecars sidecars
	shutdown shutdown

	base        status.Record // the fields that no owner fills
	orphansOnly bool          // the last input was the end of orphans, which changes no record
	recording   bool          // the record is being read; true in the next round: that panicked

	lastRecord []byte // the last record, without its time
	trimMemory bool   // work is over for now, so its memory can be given back
}

// New returns a supervisor that has started nothing.
func New(c Config) *Supervisor {
	s := &Supervisor{
		c: c, g: c.Settings.Gateway, log: OriginInit(c.Log), base: c.Base, kernel: realKernel(),
		timers: newTimers(), children: map[int]*child{}, answers: make(chan answer, 8),
	}
	s.unit = gatewayUnit{phase: phaseStopped, since: time.Now(), backoff: newBackoff(s.g)}
	s.prover = prover{health: status.Health{State: status.Unknown, Limit: healthLimit}, signals: noSignals()}
	s.requests.log = s.log
	c.Sweeper.Track(func(pid int) bool { return s.children[pid] != nil }, func() procfs.ID { return s.unit.last })
	for i := range c.Sidecars {
		s.sidecars = append(s.sidecars, newSidecar(c.Settings.Sidecars[i], c.Sidecars[i], c.Log))
	}
	return s
}

// Run starts everything and returns the container's exit code when all of it
// has ended. An error means that the very first start showed an image that can
// never work.
func (s *Supervisor) Run() (code int, err error) {
	if s.c.Gateway != nil {
		s.post(eventStart)
	}
	if s.c.Gateway == nil || s.c.Settings.CommandStart == "immediate" {
		s.beginCommand()
	}
	s.reap() // children that ended before we subscribed to SIGCHLD
	s.orphansOnly = false
	for !s.round() {
	}
	return s.shutdown.code, s.unit.start.fatal
}

// round runs one iteration of the loop and reports whether the supervisor is done.
// A panic is a bug. It is logged, the current event is lost, and the loop goes on,
// because PID 1 must not end the container for it.
func (s *Supervisor) round() (over bool) {
	defer func() {
		if r := recover(); r != nil {
			s.fault("PID 1 goes on after a panic", fmt.Errorf("panic: %v", r))
			time.Sleep(panicPause)
		}
	}()
	s.handleEvents()
	if !s.orphansOnly {
		s.publish()
		s.deliver()
	}
	if s.shutdown.over {
		return true
	}
	if s.trimMemory {
		s.trimMemory = false
		s.kernel.trim()
	}
	s.nextInput()
	return false
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

// panicPause limits how fast a panic that repeats at once fills the log.
const panicPause = 100 * time.Millisecond

// nextInput waits for one event and handles it.
func (s *Supervisor) nextInput() {
	s.orphansOnly = false
	select {
	case <-s.c.Signals.Child:
		if s.reap() {
			s.c.Signals.again()
		}
	case sig := <-s.c.Signals.Stop:
		s.signalled(sig)
	case a := <-s.answers:
		s.answered(a)
	case in := <-s.c.Server.Requests():
		s.receive(in)
	case <-s.c.Signals.Shared:
		s.c.Signals.shared()
	case <-s.timers.set(time.Now()):
		for k, ok := s.timers.take(time.Now()); ok; k, ok = s.timers.take(time.Now()) {
			s.elapsed(k)
		}
	}
}

// post queues an event. apply takes the events in order, so that an action that
// posts never runs inside another.
func (s *Supervisor) post(e event) { s.events = append(s.events, e) }

func (s *Supervisor) apply() {
	for len(s.events) > 0 {
		e := s.events[0]
		s.events = s.events[1:]
		to, action, err := next(s.unit.phase, e)
		if err != nil {
			s.fault("event refused", err)
			continue
		}
		if to != s.unit.phase {
			s.enter(to)
		}
		s.do(action)
	}
	s.events = nil
}

// enter changes the phase, and cancels the timers of the old one.
func (s *Supervisor) enter(to phase) {
	s.log.Debug().Str("event", "phase").Stringer("from", s.unit.phase).Stringer("to", to).Msg("")
	stopping := to == phaseRestarting || to == phaseStopping || to == phaseShuttingDown
	if !stopping || s.unit.phase != phaseRestarting && s.unit.phase != phaseStopping {
		// Between two ways of stopping, grace and sweep go on.
		s.timers.cancel(graceTimer, sweepTimer)
	}
	s.timers.cancel(retryTimer, attemptTimer, healthTimer)
	if to != phaseStarting {
		s.timers.cancel(readyTimer, neverServedTimer)
	}
	s.unit.phase, s.unit.since = to, time.Now()
}

func (s *Supervisor) do(a action) {
	switch a {
	case actSweep:
		s.sweep()
	case actLaunch:
		s.launch()
	case actProve:
		s.beginProof()
	case actOnReady:
		s.onReady()
	case actStop:
		s.stopGateway()
	case actShortenGrace:
		s.shortenGrace()
	case actKill:
		s.kill()
	case actScheduleRetry:
		s.scheduleRetry()
	case actOnStopped:
		s.onStopped()
	}
}

// elapsed handles a timer that has expired.
func (s *Supervisor) elapsed(k timerKind) {
	switch k {
	case graceTimer:
		s.post(eventGraceOver)
	case retryTimer:
		s.post(eventRetry)
	case sweepTimer:
		s.sweepAgain()
	case attemptTimer:
		s.attempt()
	case workerTimer:
		s.workerLate()
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
	}
}

// fault logs a bug, or a refusal of the kernel that should never happen. PID 1 goes
// on.
func (s *Supervisor) fault(what string, err error) {
	s.log.Error().Str("event", evInternal).Err(err).Msg(what)
}
