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
	phase    phase
	since    time.Time
	child    *child
	last     procfs.ID // the gateway, until its remaining processes have been swept
	proven   time.Time // zero: not proven
	start    startState
	sweep    sweepState
	backoff  backoff
	drain    time.Duration // the grace of one stop, instead of stop.grace
	token    tokenState
	trouble  trouble
	waiting  *status.Waiting // the backoff in progress
	crashes  int             // exits and replacements that counted as failures
	lastExit *status.Exit
}

// startState is how far the current start is.
type startState struct {
	executed       bool // the re-exec child executed the gateway
	readyTimedOut  bool // ready.timeout has passed
	err            *startError
	lastLogged     string // the detail that was logged last, so that it is not repeated
	launchedBefore bool   // there was a launch before
	fatal          error  // why the very first launch can never work
}

// sweepState is the sweep in progress.
type sweepState struct {
	start time.Time
	pause time.Duration // before the next check
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

// fill sets what the record says about the gateway. readyBy is the end of
// ready.timeout, or zero.
func (u *gatewayUnit) fill(r *status.Record, readyBy time.Time) {
	r.State, r.Goal, r.Since = u.phase.state(), u.phase.goal(), u.since
	r.Reason, r.Detail = u.trouble.reason, u.trouble.detail
	r.Crashes, r.LastExit, r.Backoff = u.crashes, u.lastExit, nil
	if u.phase == phaseBackingOff {
		r.Backoff = u.waiting
	}
	r.Gateway.Process = status.Process{}
	r.Gateway.StartedAt, r.Gateway.ProvenAt, r.Gateway.ReadyBy = nil, nil, nil
	if g := u.child; g.alive() {
		started := g.started
		r.Gateway.Process = status.Process{PID: g.pid(), Start: g.id.Start}
		r.Gateway.StartedAt = &started
		if !u.proven.IsZero() {
			proven := u.proven
			r.Gateway.ProvenAt = &proven
		}
	}
	if u.phase == phaseStarting && !readyBy.IsZero() {
		r.Gateway.ReadyBy = &readyBy
	}
}
