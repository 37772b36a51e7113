// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"encoding/json"
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
	if s.recording { // the last try panicked, so the next input comes first
		s.recording = false
		return
	}
	s.recording = true
	r := s.record()
	s.recording = false
	now, err := json.Marshal(r)
	if err == nil && bytes.Equal(now, s.lastRecord) {
		return
	}
	s.lastRecord = now
	s.checkFIFO()
	r.UpdatedAt = time.Now()
	if err := s.c.Publish(r); err != nil {
		s.lastRecord = nil // try again at the next event
		s.log.Error().Str("event", evStatusWriteFailed).Err(err).Msg("")
	}
}

// record returns the status record as the owners fill it, without its time.
func (s *Supervisor) record() status.Record {
	r := s.base
	s.common.fill(&r)
	s.unit.fill(&r)
	s.prover.fill(&r)
	s.requests.fill(&r, s.stage(), s.timers.armedFor(graceTimer))
	s.sidecars.fill(&r, s.unit.letsSidecarsStart())
	s.relay.fill(&r)
	s.shutdown.fill(&r)
	if s.c.Gateway != nil {
		r.Token = s.c.Token.Status()
	}
	return r
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
