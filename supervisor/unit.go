// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// gatewayUnit owns the gateway: its phase, its process, its starts and stops.
type gatewayUnit struct {
	*common
	counts
	events   []event // posted, not yet applied
	phase    phase
	since    time.Time
	child    *child
	last     procfs.ID // the gateway, until its remaining processes have been swept
	start    startState
	sweep    sweepState
	backoff  backoff
	drain    time.Duration // the grace of one stop, instead of stop.grace
	token    tokenState
	trouble  trouble
	waiting  *status.Waiting // the backoff in progress
	lastExit *status.Exit
}

// startState is how far the current start is.
type startState struct {
	lives          uint64    // gateways that were launched
	executed       bool      // the re-exec child executed the gateway
	proven         time.Time // zero: not proven
	readyTimedOut  bool      // ready.timeout has passed
	err            *startError
	lastLogged     string    // the detail that was logged last, so that it is not repeated
	launchedBefore bool      // there was a launch before
	evict          int       // threads of the agent that makeRoom ended last, since a gateway was proven
	freeFrom       time.Time // the earliest next freePort
	everyFrom      time.Time // the earliest time at which it may end every process of the agent
	fatal          error     // why the very first launch can never work
}

// sweepState is the sweep in progress.
type sweepState struct {
	start time.Time
	pause time.Duration // before the next check
	by    time.Time     // the end of the grace of what the gateway left behind; zero: none
	asked bool          // they were asked to end
}

// tokenState says whether the next start gets another token.
type tokenState struct {
	rotate  bool   // a prepared token waits for the old gateway to be gone
	exposed string // why the token in force may be known; "": it is not
}

// trouble is why the gateway does not serve.
type trouble struct {
	reason reason.Reason
	detail string
}

func newGatewayUnit(e *common) gatewayUnit {
	return gatewayUnit{common: e, phase: phaseStopped, since: time.Now(), backoff: newBackoff(e.g)}
}

// post queues an event. next takes the events in order, so that an action that posts
// never runs inside another.
func (u *gatewayUnit) post(e event) { u.events = append(u.events, e) }

// next applies the oldest event to the phase, and returns the action that the loop has
// to carry out. ok is false if there is no event.
func (u *gatewayUnit) next() (a action, ok bool) {
	if len(u.events) == 0 {
		u.events = nil
		return actIgnore, false
	}
	e := u.events[0]
	u.events = u.events[1:]
	to, a, err := next(u.phase, e)
	if err != nil {
		u.fault("event refused", err)
		return actIgnore, true
	}
	if to != u.phase {
		u.enter(to)
	}
	return a, true
}

// enter changes the phase, and cancels the timers of the old one.
func (u *gatewayUnit) enter(to phase) {
	u.log.Debug().Str("event", "phase").Stringer("from", u.phase).Stringer("to", to).Msg("")
	stopping := to == phaseRestarting || to == phaseStopping || to == phaseShuttingDown
	if !stopping || u.phase != phaseRestarting && u.phase != phaseStopping {
		// Between two ways of stopping, grace and sweep go on.
		u.timers.cancel(graceTimer, sweepTimer)
	}
	u.timers.cancel(retryTimer, attemptTimer, healthTimer)
	if to != phaseStarting {
		u.timers.cancel(readyTimer, neverServedTimer)
	}
	u.phase, u.since = to, time.Now()
}

// setTrouble sets the reason why the gateway does not serve, or "", for the status.
func (u *gatewayUnit) setTrouble(why reason.Reason, detail string) {
	u.trouble = trouble{why, detail}
}

// age returns the time since the gateway's process was started, or 0 if there is none.
func (u *gatewayUnit) age() time.Duration {
	if u.child == nil {
		return 0
	}
	return time.Since(u.child.started)
}

// letsSidecarsStart reports whether the gateway serves or drains. Sidecars may start
// during a drain, because the gateway's remaining work may need them.
func (u *gatewayUnit) letsSidecarsStart() bool {
	return u.phase == phaseRunning || u.drain > 0 && !u.start.proven.IsZero()
}

// fill sets what the record says about the gateway.
func (u *gatewayUnit) fill(r *status.Record) {
	r.State, r.Goal, r.Since = u.phase.state(), u.phase.goal(), u.since
	r.Reason, r.Detail = u.trouble.reason, u.trouble.detail
	u.counts.fill(r)
	r.LastExit, r.Backoff = u.lastExit, nil
	if u.phase == phaseBackingOff {
		r.Backoff = u.waiting
	}
	r.Gateway.Process, r.Gateway.Port = status.Process{}, u.port
	r.Gateway.StartedAt, r.Gateway.ProvenAt, r.Gateway.ReadyBy, r.Gateway.GiveUpAt = nil, nil, nil, nil
	if g := u.child; g.alive() {
		r.Gateway.Process = status.Process{PID: g.pid(), Start: g.id.Start}
		r.Gateway.StartedAt = g.startedAt()
		if !u.start.proven.IsZero() {
			proven := u.start.proven
			r.Gateway.ProvenAt = &proven
		}
	}
	if u.phase == phaseStarting {
		r.Gateway.ReadyBy = u.timers.armedFor(readyTimer)
		r.Gateway.GiveUpAt = u.timers.armedFor(neverServedTimer)
	}
}
