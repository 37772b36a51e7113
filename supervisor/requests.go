// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// recoverTries is the number of definite failures in a row after which recover
// replaces a gateway that is alive. One slow answer is not enough.
const recoverTries = healthLimit

// requests owns the requests: those that wait, the one in progress, and the answers
// that are to be written. It decides by requestTable, and knows no process.
type requests struct {
	log      zerolog.Logger
	queue    control.Queue
	replay   control.Replay
	job      *control.Job // in progress; nil in the state idle
	state    requestState
	since    time.Time // when it began
	old      int       // the gateway's pid then
	tries    int       // recover: definite failures so far
	replies  []control.Reply
	refused  status.Refused
	restarts int // requests that started a gateway that was proven
	last     *status.LastRequest
}

// receive queues a frame from the FIFO, or refuses it. refusal is the reason why no
// request is accepted now, or "".
func (q *requests) receive(in control.Incoming, refusal reason.Reason) {
	if in.Err != nil {
		why := reason.Malformed
		if errors.Is(in.Err, control.ErrUnknownAction) {
			why = reason.UnknownAction
			q.refused.UnknownAction++
		} else {
			q.refused.Malformed++
		}
		q.refuse(in.Nonce, why)
		return
	}
	if q.replay.Seen(in.Nonce) {
		q.refused.Replayed++
		q.refuse(in.Nonce, reason.Replayed)
		return
	}
	switch {
	case refusal != "":
		q.refuse(in.Nonce, refusal)
	case !q.queue.Add(in.Request):
		q.refused.QueueFull++
		q.refuse(in.Nonce, reason.QueueFull)
	default:
		q.log.Info().Str("event", evRequest).Str("nonce", in.Nonce[:8]).Str("action", string(in.Action)).Msg("")
		q.reply(control.Reply{Nonce: in.Nonce, Outcome: control.Accepted})
	}
}

// isPending reports whether a request with the nonce waits for its answer.
func (q *requests) isPending(nonce string) bool {
	return q.job != nil && q.job.Has(nonce) || q.queue.Has(nonce)
}

// refuse rejects a request. If another request with the same nonce is pending, it
// writes no reply, because the reply file belongs to that request.
func (q *requests) refuse(nonce string, why reason.Reason) {
	short := ""
	if nonce != "" {
		short = nonce[:8]
		if !q.isPending(nonce) {
			q.reply(control.Reply{Nonce: nonce, Outcome: control.Failed, Reason: why})
		}
	}
	q.log.Warn().Str("event", evRefused).Str("nonce", short).Str("reason", string(why)).Msg("")
}

// begin starts a request in its first state, while the gateway has the pid.
func (q *requests) begin(j *control.Job, pid int, first requestState) {
	q.job, q.state, q.since, q.old, q.tries = j, first, time.Now(), pid, 0
}

// supersede returns a stop that waits behind a start, or nil. It answers that start,
// and all starts that wait before the stop.
func (q *requests) supersede(pid int) *control.Job {
	if q.state != requestAwaitingStart {
		return nil
	}
	stop, superseded := q.queue.TakeStop()
	if stop == nil {
		return nil
	}
	q.on(outcomeSuperseded, "", 0)
	for _, j := range superseded {
		q.answer(j, control.Reply{Outcome: control.Failed, Reason: reason.Superseded, OldPID: pid})
	}
	return stop
}

// shutDown answers every request but a stop in progress, because the container ends.
func (q *requests) shutDown(pid int) {
	q.on(outcomeShutdown, "", 0)
	for j := q.queue.Next(); j != nil; j = q.queue.Next() {
		q.answer(j, control.Reply{Outcome: control.Failed, Reason: reason.ShuttingDown, OldPID: pid})
	}
}

// fill sets what the record says about requests. stage is the progress word of the
// request in progress, and until the end of the old gateway's grace, or nil.
func (q *requests) fill(r *status.Record, stage string, until *time.Time) {
	r.Restarts, r.Queued, r.Refused, r.LastRequest, r.Request = q.restarts, q.queue.Len(), q.refused, q.last, nil
	if q.job == nil {
		return
	}
	r.Request = &status.Request{Nonce: q.job.Nonce[:8], Action: string(q.job.Action), Stage: stage, Since: q.since, Until: until}
}
