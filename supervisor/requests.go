// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// recoverTries is the number of definite failures in a row after which recover
// replaces a gateway that is alive. One slow answer is not enough.
const recoverTries = healthLimit

// task is the request in progress.
type task struct {
	job    *control.Job
	since  time.Time
	old    int  // the gateway's pid when the task began
	awaits bool // a start, which startProven or failStart answers
	stops  bool // a stop, which stopped answers
	tries  int  // recover: definite failures so far
}

// looks reports whether the task wants a gateway that serves and still checks
// whether there is one.
func (t *task) looks() bool {
	return !t.awaits && (t.job.Action == control.Recover || t.job.Action == control.Start)
}

// receive handles a frame from the FIFO.
func (s *Supervisor) receive(in control.Incoming) {
	s.dirty = true
	if in.Err != nil {
		why := reason.Malformed
		if errors.Is(in.Err, control.ErrUnknownAction) {
			why = reason.UnknownAction
			s.rec.Refused.UnknownAction++
		} else {
			s.rec.Refused.Malformed++
		}
		s.refuse(in.Nonce, why)
		return
	}
	if s.replay.Seen(in.Nonce) {
		s.rec.Refused.Replayed++
		s.refuse(in.Nonce, reason.Replayed)
		return
	}
	switch {
	case s.shuttingDown:
		s.refuse(in.Nonce, reason.ShuttingDown)
	case s.c.Gateway == nil:
		s.refuse(in.Nonce, reason.NotPermitted)
	case !s.queue.Add(in.Request):
		s.rec.Refused.QueueFull++
		s.refuse(in.Nonce, reason.QueueFull)
	default:
		s.log.Info().Str("event", evRequest).Str("nonce", in.Nonce[:8]).Str("action", string(in.Action)).Msg("")
		s.reply(control.Reply{Nonce: in.Nonce, Outcome: control.Accepted})
	}
}

// pending reports whether a request with the nonce waits for its answer.
func (s *Supervisor) pending(nonce string) bool {
	return s.task != nil && s.task.job.Has(nonce) || s.queue.Has(nonce)
}

// refuse rejects a request. If another request with the same nonce is pending, it
// writes no reply, because the reply file belongs to that request.
func (s *Supervisor) refuse(nonce string, why reason.Reason) {
	short := ""
	if nonce != "" {
		short = nonce[:8]
		if !s.pending(nonce) {
			s.reply(control.Reply{Nonce: nonce, Outcome: control.Failed, Reason: why})
		}
	}
	s.log.Warn().Str("event", evRefused).Str("nonce", short).Str("reason", string(why)).Msg("")
}

// reply queues an answer. It is written after the next status record has been
// published, so that a requester that reads the record sees the result of its
// request.
func (s *Supervisor) reply(r control.Reply) { s.replies = append(s.replies, r) }

// deliver writes the replies. A reply that cannot be written is logged, and the
// effect of its request stands.
func (s *Supervisor) deliver() {
	for len(s.replies) > 0 {
		r := s.replies[0]
		s.replies = s.replies[1:]
		if err := s.c.Server.Reply(r); err != nil {
			s.log.Error().Str("event", evReplyWriteFailed).Str("nonce", r.Nonce[:8]).Str("result", r.Result()).Err(err).Msg("")
		}
	}
	s.replies = nil
}

// serve begins waiting requests, in order, until one of them has posted an event,
// and reports whether it began any. A stop does not wait for a start that is not
// proven yet, but supersedes it.
func (s *Supervisor) serve() (began bool) {
	if s.shuttingDown {
		s.refuseQueued(reason.ShuttingDown)
		return false
	}
	if s.task != nil && s.task.awaits {
		if stop, superseded := s.queue.TakeStop(); stop != nil {
			s.finish(control.Reply{Outcome: control.Failed, Reason: reason.Superseded})
			for _, j := range superseded {
				s.answer(j, control.Reply{Outcome: control.Failed, Reason: reason.Superseded, OldPID: s.gateway.pid()})
			}
			s.begin(stop)
			began = true
		}
	}
	for s.task == nil && len(s.events) == 0 {
		j := s.queue.Next()
		if j == nil {
			return began
		}
		s.begin(j)
		began = true
	}
	return began
}

// refuseQueued answers all waiting requests with one reason.
func (s *Supervisor) refuseQueued(why reason.Reason) {
	if s.task != nil && !s.task.stops {
		s.finish(control.Reply{Outcome: control.Failed, Reason: why})
	}
	for j := s.queue.Next(); j != nil; j = s.queue.Next() {
		s.answer(j, control.Reply{Outcome: control.Failed, Reason: why, OldPID: s.gateway.pid()})
	}
}

// begin starts a request.
func (s *Supervisor) begin(j *control.Job) {
	s.task = &task{job: j, since: time.Now(), old: s.gateway.pid()}
	s.dirty = true
	switch j.Action {
	case control.Probe:
		s.beginProbe()
	case control.Recover:
		s.beginRecover()
	case control.Start:
		s.beginStart()
	case control.Restart:
		s.beginRestart()
	case control.Stop:
		s.task.stops = true
		s.post(eventStop)
	}
}

// awaitStart posts e. The request is answered when the gateway is proven, or has
// failed.
func (s *Supervisor) awaitStart(e event) {
	s.task.awaits = true
	s.post(e)
}

// beginStart leaves a running gateway alone, and reports whether it serves.
func (s *Supervisor) beginStart() {
	switch {
	case s.phase == phaseRunning:
		s.check(proof.Prove, func(r result) {
			s.noteHealth(r)
			if r.ok {
				s.finish(control.Reply{Outcome: control.AlreadyRunning, NewPID: s.gateway.pid()})
				return
			}
			s.finish(control.Reply{Outcome: control.Failed, Reason: r.reason, NewPID: s.gateway.pid()})
		})
	case s.phase == phaseStarting && s.readyTimedOut: // requests that waited for it have been answered
		s.finish(control.Reply{Outcome: control.Failed, Reason: s.rec.Reason, NewPID: s.gateway.pid()})
	default:
		s.awaitStart(eventStart)
	}
}

func (s *Supervisor) beginProbe() {
	switch {
	case s.phase == phaseRunning:
		s.check(proof.Prove, func(r result) {
			s.noteHealth(r)
			s.probed(r)
		})
	case s.phase == phaseStarting && s.executed && s.proof == nil:
		s.attempt()
	case s.phase == phaseStarting && s.executed: // the attempt in progress answers
	default:
		s.finish(control.Reply{Outcome: control.Failed, Reason: reason.NotRunning})
	}
}

// probed answers a probe.
func (s *Supervisor) probed(r result) {
	if r.ok {
		s.finish(control.Reply{Outcome: control.OK, NewPID: s.gateway.pid()})
		return
	}
	s.finish(control.Reply{Outcome: control.Failed, Reason: r.reason, NewPID: s.gateway.pid()})
}

func (s *Supervisor) beginRecover() {
	switch {
	case s.phase == phaseRunning:
		s.check(proof.Prove, s.recovered)
	case s.phase == phaseStarting && s.readyTimedOut && s.rec.Health.State == status.NotServing:
		s.awaitStart(eventRestart)
	case s.phase == phaseStarting && s.readyTimedOut: // alive, and not known to be down
		s.finish(control.Reply{Outcome: control.Failed, Reason: s.rec.Reason, NewPID: s.gateway.pid()})
	default:
		s.awaitStart(eventStart)
	}
}

// recovered decides after each proof of a recover. A gateway that serves is left
// alone, and so is one whose state is unknown. Only repeated definite failure
// replaces it.
func (s *Supervisor) recovered(r result) {
	s.noteHealth(r)
	switch {
	case r.ok:
		s.finish(control.Reply{Outcome: control.AlreadyRunning, NewPID: s.gateway.pid()})
	case !r.definite:
		s.finish(control.Reply{Outcome: control.Failed, Reason: r.reason, NewPID: s.gateway.pid()})
	default:
		if s.task.tries++; s.task.tries < recoverTries {
			s.timers.arm(attemptTimer, healthPauseFirst<<s.task.tries)
			return
		}
		s.awaitStart(eventRestart)
	}
}

// beginRestart validates the restart while the old gateway still serves, so that a
// refusal leaves that gateway alone.
func (s *Supervisor) beginRestart() {
	if err := s.c.Validate(); err != nil {
		s.log.Warn().Str("event", evRefused).Str("reason", string(reason.UnsafeConfig)).Err(err).Msg("")
		s.finish(control.Reply{Outcome: control.Failed, Reason: reason.UnsafeConfig, NewPID: s.gateway.pid()})
		return
	}
	if beside := s.foreignBeside(); beside != "" {
		s.log.Warn().Str("event", evRefused).Str("reason", string(reason.ListenerForeign)).Str("detail", beside).Msg("")
		s.finish(control.Reply{Outcome: control.Failed, Reason: reason.ListenerForeign, NewPID: s.gateway.pid()})
		return
	}
	if s.task.job.Rotate {
		if err := s.c.Token.Prepare(); err != nil {
			s.log.Warn().Str("event", evRefused).Str("reason", string(reason.TokenFailed)).Err(err).Msg("")
			s.finish(control.Reply{Outcome: control.Failed, Reason: reason.TokenFailed, NewPID: s.gateway.pid()})
			return
		}
		s.rotate = true
	}
	s.drain = time.Duration(s.task.job.Drain) * time.Second
	if !s.gateway.alive() {
		s.stopSidecars() // sidecars that outlived a crash do not have a new token
	}
	s.awaitStart(eventRestart)
}

// foreignBeside describes a foreign listener beside a gateway that listens itself,
// or returns "". Such a gateway must not be stopped, because it could not start
// again, and an agent that holds the port would turn a restart into an outage.
func (s *Supervisor) foreignBeside() string {
	if s.phase != phaseRunning {
		return ""
	}
	ls, _, foreign, err := s.judgeListeners()
	if err != nil || len(foreign) == 0 || len(foreign) == len(ls) {
		return ""
	}
	return s.foreignText(foreign[0])
}

// joinStart makes a task that checks the gateway wait for the next start, because
// the gateway is being replaced and the task's next check will never come.
func (s *Supervisor) joinStart() {
	if s.task != nil && s.task.looks() {
		s.task.awaits = true
	}
}

// startProven, failStart and stopped answer a task that waits for them.

func (s *Supervisor) startProven() {
	s.drain = 0
	if s.task == nil || !s.task.awaits {
		return
	}
	if s.task.job.Action != control.Start {
		s.rec.Restarts++
	}
	s.finish(control.Reply{Outcome: control.OK, NewPID: s.gateway.pid()})
}

// failStart answers the task after a start has failed, or the gateway has ended
// during a proof.
func (s *Supervisor) failStart(why reason.Reason) {
	t := s.task
	switch {
	case t == nil:
	case t.looks():
		s.awaitStart(eventStart) // the gateway ended while the task checked it
	case t.awaits, t.job.Action == control.Probe:
		s.finish(control.Reply{Outcome: control.Failed, Reason: why, NewPID: s.gateway.pid()})
	}
}

func (s *Supervisor) stopped() {
	s.drain = 0
	if s.task != nil && s.task.stops {
		s.finish(control.Reply{Outcome: control.Stopped})
	}
}

// finish answers the task in progress and ends it.
func (s *Supervisor) finish(r control.Reply) {
	t := s.task
	s.task = nil
	r.OldPID = t.old
	if r.NewPID == t.old && r.Outcome == control.Failed && t.awaits {
		r.NewPID = 0 // it is the old one, or none
	}
	s.answer(t.job, r)
}

func (s *Supervisor) answer(j *control.Job, r control.Reply) {
	for _, nonce := range j.Nonces {
		r.Nonce = nonce
		s.reply(r)
	}
	s.rec.LastRequest = &status.LastRequest{Nonce: j.Nonce[:8], Action: string(j.Action), Result: r.Result(), At: time.Now()}
	s.dirty = true
	s.log.Info().Str("event", evAnswered).Str("nonce", j.Nonce[:8]).Str("action", string(j.Action)).
		Int("waiters", len(j.Nonces)).Str("result", r.Result()).Msg("")
}

// stage returns the progress word that a waiting client sees.
func (s *Supervisor) stage() string {
	switch {
	case s.phase == phaseRestarting || s.phase == phaseStopping:
		return "stopping"
	case s.phase == phaseStarting && s.executed, s.proof != nil:
		return "proving"
	case s.phase == phaseStarting:
		return "starting"
	}
	return "accepted"
}
