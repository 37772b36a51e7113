// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"

	"github.com/gateway-init/gateway-init/internal/status"
)

// Phase is the gateway's state and goal in one value (docs/design.md, section 9),
// because only these eight of their combinations exist.
type Phase uint8

// The phases.
const (
	Starting     Phase = iota // sweep, prepare, launch, not yet proven
	Running                   // proven
	Restarting                // stopping, to start again
	Stopping                  // stopping, to stay stopped
	ShuttingDown              // stopping, because the container ends
	BackingOff                // backoff
	Stopped                   // on purpose
	Terminated                // nothing more will happen
	phases
)

// phaseText has the name, state and goal of each phase.
var phaseText = [phases][3]string{
	Starting:     {"starting", status.Starting, status.GoalRun},
	Running:      {"running", status.Running, status.GoalRun},
	Restarting:   {"restarting", status.Stopping, status.GoalRun},
	Stopping:     {"stopping", status.Stopping, status.GoalStop},
	ShuttingDown: {"shutting-down", status.Stopping, status.GoalExit},
	BackingOff:   {"backing-off", status.Backoff, status.GoalRun},
	Stopped:      {"stopped", status.Stopped, status.GoalStop},
	Terminated:   {"terminated", status.Stopped, status.GoalExit},
}

func (p Phase) String() string { return phaseText[p][0] }

// State returns the word for status.json.
func (p Phase) State() string { return phaseText[p][1] }

// Goal returns the word for status.json.
func (p Phase) Goal() string { return phaseText[p][2] }

// Event is something that happens to the gateway.
type Event uint8

// The events.
const (
	Start     Event = iota // boot or a request wants it running
	Restart                // a request wants a new one, or it is definitely not serving
	Stop                   // a request wants it stopped
	Shutdown               // the container ends
	Swept                  // no process of a former gateway is alive
	Launched               // the re-exec child has executed the gateway
	Failed                 // the start failed
	Proven                 // the proof held
	Died                   // the gateway was reaped
	Retry                  // the backoff is over
	GraceOver              // it did not stop in time
	events
)

var eventText = [events]string{
	Start: "start", Restart: "restart", Stop: "stop", Shutdown: "shutdown", Swept: "swept", Launched: "launched",
	Failed: "failed", Proven: "proven", Died: "died", Retry: "retry", GraceOver: "grace-over",
}

func (e Event) String() string { return eventText[e] }

// Action is the one operation that a transition performs.
type Action uint8

// The actions.
const (
	actIgnore        Action = iota // nothing
	actImpossible                  // a bug, which is only logged
	actSweep                       // end the remaining processes of a former gateway
	actLaunch                      // prepare, fork
	actProve                       // begin to prove it
	actOnReady                     // it serves; arm health checks, answer requests
	actStop                        // stop signal and grace, or sweep if there is no process
	actShortenGrace                // it is already being stopped; allow at most stop.grace from now
	actKill                        // SIGKILL
	actScheduleRetry               // charge the exit, arm the backoff
	actOnStopped                   // it is stopped; answer requests
	actions
)

type cell struct {
	next   Phase
	action Action
}

// table has a cell for each event in each phase. A change of phase cancels timers
// and a running sweep, so a late one is impossible. A report of a process or a re-exec child
// may come late, and is ignored then.
var table = [phases][events]cell{
	Starting: {
		Start: {Starting, actIgnore}, Restart: {Restarting, actStop}, Stop: {Stopping, actStop}, Shutdown: {ShuttingDown, actStop},
		Swept: {Starting, actLaunch}, Launched: {Starting, actProve}, Failed: {BackingOff, actScheduleRetry},
		Proven: {Running, actOnReady}, Died: {BackingOff, actScheduleRetry},
		Retry: {Starting, actImpossible}, GraceOver: {Starting, actImpossible},
	},
	Running: {
		Start: {Running, actIgnore}, Restart: {Restarting, actStop}, Stop: {Stopping, actStop}, Shutdown: {ShuttingDown, actStop},
		Swept: {Running, actImpossible}, Launched: {Running, actImpossible}, Failed: {Running, actImpossible},
		Proven: {Running, actIgnore}, Died: {BackingOff, actScheduleRetry},
		Retry: {Running, actImpossible}, GraceOver: {Running, actImpossible},
	},
	Restarting: {
		Start: {Restarting, actIgnore}, Restart: {Restarting, actIgnore}, Stop: {Stopping, actShortenGrace}, Shutdown: {ShuttingDown, actShortenGrace},
		Swept: {Starting, actLaunch}, Launched: {Restarting, actIgnore}, Failed: {Restarting, actSweep},
		Proven: {Restarting, actIgnore}, Died: {Restarting, actSweep},
		Retry: {Restarting, actImpossible}, GraceOver: {Restarting, actKill},
	},
	Stopping: {
		Start: {Restarting, actIgnore}, Restart: {Restarting, actIgnore}, Stop: {Stopping, actIgnore}, Shutdown: {ShuttingDown, actShortenGrace},
		Swept: {Stopped, actOnStopped}, Launched: {Stopping, actIgnore}, Failed: {Stopping, actSweep},
		Proven: {Stopping, actIgnore}, Died: {Stopping, actSweep},
		Retry: {Stopping, actImpossible}, GraceOver: {Stopping, actKill},
	},
	ShuttingDown: {
		Start: {ShuttingDown, actIgnore}, Restart: {ShuttingDown, actIgnore}, Stop: {ShuttingDown, actIgnore}, Shutdown: {ShuttingDown, actIgnore},
		Swept: {Terminated, actOnStopped}, Launched: {ShuttingDown, actIgnore}, Failed: {ShuttingDown, actSweep},
		Proven: {ShuttingDown, actIgnore}, Died: {ShuttingDown, actSweep},
		Retry: {ShuttingDown, actImpossible}, GraceOver: {ShuttingDown, actKill},
	},
	BackingOff: {
		Start: {Starting, actSweep}, Restart: {Starting, actSweep}, Stop: {Stopping, actStop}, Shutdown: {ShuttingDown, actStop},
		Swept: {BackingOff, actImpossible}, Launched: {BackingOff, actIgnore}, Failed: {BackingOff, actIgnore},
		Proven: {BackingOff, actIgnore}, Died: {BackingOff, actIgnore},
		Retry: {Starting, actSweep}, GraceOver: {BackingOff, actImpossible},
	},
	Stopped: {
		Start: {Starting, actSweep}, Restart: {Starting, actSweep}, Stop: {Stopped, actOnStopped}, Shutdown: {ShuttingDown, actStop},
		Swept: {Stopped, actImpossible}, Launched: {Stopped, actIgnore}, Failed: {Stopped, actIgnore},
		Proven: {Stopped, actIgnore}, Died: {Stopped, actIgnore},
		Retry: {Stopped, actImpossible}, GraceOver: {Stopped, actImpossible},
	},
	Terminated: {
		Start: {Terminated, actIgnore}, Restart: {Terminated, actIgnore}, Stop: {Terminated, actIgnore}, Shutdown: {Terminated, actIgnore},
		Swept: {Terminated, actIgnore}, Launched: {Terminated, actIgnore}, Failed: {Terminated, actIgnore},
		Proven: {Terminated, actIgnore}, Died: {Terminated, actIgnore}, Retry: {Terminated, actIgnore}, GraceOver: {Terminated, actIgnore},
	},
}

// TransitionError means that an event cannot happen in a phase. That is a bug. It
// is logged, and PID 1 goes on.
type TransitionError struct {
	From Phase
	On   Event
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("internal error: event %v is impossible in phase %v", e.On, e.From)
}

// next looks up a transition. It is pure and total.
func next(p Phase, e Event) (Phase, Action, error) {
	c := table[p][e]
	if c.action == actImpossible {
		return p, actIgnore, &TransitionError{p, e}
	}
	return c.next, c.action, nil
}
