// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// This file answers requests: an outcome decides by requestTable, and the loop writes
// the answer.

// tell applies an outcome to the request in progress, and carries out its wish. why is
// the reason of a failure.
func (s *Supervisor) tell(o outcome, why reason.Reason) {
	s.carryOutWish(s.requests.on(o, why, s.unit.child.pid()))
}

// tellResult applies the result of a proof that the request in progress has asked for.
func (s *Supervisor) tellResult(r *result) {
	switch {
	case r.ok:
		s.tell(outcomeProven, "")
	case r.definite:
		s.tell(outcomeDown, r.reason)
	default:
		s.tell(outcomeUnknown, r.reason)
	}
}

// carryOutWish carries out a wish of the request in progress.
func (s *Supervisor) carryOutWish(v decision) {
	switch v {
	case wishStart:
		s.unit.post(eventStart)
	case wishRestart:
		s.unit.post(eventRestart)
	case wishProof:
		if n := s.requests.tries; n > 0 {
			s.timers.arm(attemptTimer, policy.RecoverPause<<n)
			return
		}
		s.attempt()
	}
}

// on applies an outcome to the request in progress, and answers it if that is the
// decision. why is the reason of a failure, and pid that of the gateway now. The loop
// carries out a wish.
func (q *requests) on(o outcome, why reason.Reason, pid int) decision {
	if o == outcomeDown && q.state == requestRecovering {
		if q.tries++; q.tries >= recoverTries {
			o = outcomeDownForGood
		}
	}
	c := requestTable[q.state][o]
	if c.decision == answerFailed && q.state == requestAwaitingStart && pid == q.old {
		pid = 0 // there is no new gateway
	}
	return q.decide(c, why, pid)
}

// decide takes the first decision on the request that has just begun.
func (q *requests) decide(c requestCell, why reason.Reason, pid int) decision {
	q.state = c.next
	q.carryOut(c.decision, why, pid)
	return c.decision
}

func (q *requests) carryOut(v decision, why reason.Reason, pid int) {
	switch v {
	case answerOK:
		if q.job.Action == control.Restart || q.job.Action == control.Recover {
			q.restarts++
		}
		q.finish(control.Reply{Outcome: control.OK, NewPID: pid})
	case answerRunning:
		q.finish(control.Reply{Outcome: control.AlreadyRunning, NewPID: pid})
	case answerStopped:
		q.finish(control.Reply{Outcome: control.Stopped})
	case answerFailed:
		q.finish(control.Reply{Outcome: control.Failed, Reason: why, NewPID: pid})
	case answerSuperseded:
		q.finish(control.Reply{Outcome: control.Failed, Reason: reason.Superseded})
	case answerShutdown:
		q.finish(control.Reply{Outcome: control.Failed, Reason: reason.ShuttingDown})
	}
}

// finish answers the request in progress and ends it.
func (q *requests) finish(r control.Reply) {
	j := q.job
	q.job = nil
	r.OldPID = q.old
	q.answer(j, r)
}

func (q *requests) answer(j *control.Job, r control.Reply) {
	for _, nonce := range j.Nonces {
		r.Nonce = nonce
		q.reply(r)
	}
	q.last = &status.LastRequest{Nonce: j.Nonce[:8], Action: string(j.Action), Result: r.Result(), At: time.Now()}
	q.log.Info().Str("event", evAnswered).Str("nonce", j.Nonce[:8]).Str("action", string(j.Action)).
		Int("waiters", len(j.Nonces)).Str("result", r.Result()).Msg("")
}

// reply queues an answer. The loop writes it after the next status record, so that a
// requester that reads the record sees the result of its request.
func (q *requests) reply(r control.Reply) { q.replies = append(q.replies, r) }

// nextReply removes and returns the next answer that is to be written.
func (q *requests) nextReply() (r control.Reply, ok bool) {
	if len(q.replies) == 0 {
		q.replies = nil
		return r, false
	}
	r, q.replies = q.replies[0], q.replies[1:]
	return r, true
}
