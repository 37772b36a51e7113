// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
)

// checkFIFO creates a new request FIFO if the old one was replaced or changed.
func (s *Supervisor) checkFIFO() {
	problem, err := s.c.Server.Check()
	switch {
	case err != nil:
		s.fault("cannot make a new request FIFO", err)
	case problem != nil:
		s.log.Warn().Str("event", evFIFO).Err(problem).Msg("")
	}
}

// publish writes the record if anything in it changed.
func (s *Supervisor) publish() {
	if !s.dirty {
		return
	}
	s.dirty = false
	s.checkFIFO()
	s.fill()
	if err := s.c.Publish(s.rec); err != nil {
		s.log.Error().Str("event", evStatusWriteFailed).Err(err).Msg("")
	}
}

// fill updates the record from the state machine.
func (s *Supervisor) fill() {
	r := &s.rec
	r.UpdatedAt = time.Now()
	r.State, r.Goal, r.Since = s.phase.state(), s.phase.goal(), s.since
	if s.shuttingDown {
		r.Goal = status.GoalExit
	}
	r.Gateway.Process = status.Process{}
	r.Gateway.StartedAt, r.Gateway.ProvenAt, r.Gateway.ReadyBy = nil, nil, nil
	if g := s.gateway; g.alive() {
		started := g.started
		r.Gateway.Process = g.id
		r.Gateway.StartedAt = &started
		if !s.proven.IsZero() {
			proven := s.proven
			r.Gateway.ProvenAt = &proven
		}
	}
	if by := s.timers.due[readyTimer]; s.phase == phaseStarting && !by.IsZero() {
		r.Gateway.ReadyBy = &by
	}
	if s.phase != phaseBackingOff {
		r.Backoff = nil
	}
	s.requests.fill(r, s.stage(), s.timers.due[graceTimer])
	if s.c.Gateway != nil {
		r.Token = s.c.Token.Status()
	}
	s.fillChildren()
}

func (s *Supervisor) fillChildren() {
	r := &s.rec
	if s.c.Command != nil {
		c := &status.Child{Name: "command", State: "waiting", UID: s.c.Command.UID}
		switch {
		case s.cmdCode != nil:
			c.State, c.Detail = "stopped", "ended with exit code "+formatInt(*s.cmdCode)
		case s.command.alive():
			c.State, c.PID = "running", s.command.pid()
		}
		r.Command = c
	}
	s.sidecars.fill(r, s.sidecarsMayStart())
}
