// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"

	"gatewayinit/internal/status"
)

// Phase is the gateway's state and goal in one value (docs/design.md, section 9),
// because only these eight of their combinations exist.
type Phase uint8

// The phases.
const (
	Starting   Phase = iota // sweep, prepare, launch, not yet proven
	Running                 // proven
	Restarting              // stopping, to start again
	Halting                 // stopping, to stay stopped
	Ending                  // stopping, because the container ends
	Waiting                 // backoff
	Stopped                 // on purpose
	Ended                   // nothing more will happen
	phases
)

// phaseText has the name, state and goal of each phase.
var phaseText = [phases][3]string{
	Starting:   {"starting", status.Starting, status.GoalRun},
	Running:    {"running", status.Running, status.GoalRun},
	Restarting: {"restarting", status.Stopping, status.GoalRun},
	Halting:    {"halting", status.Stopping, status.GoalStop},
	Ending:     {"ending", status.Stopping, status.GoalExit},
	Waiting:    {"waiting", status.Backoff, status.GoalRun},
	Stopped:    {"stopped", status.Stopped, status.GoalStop},
	Ended:      {"ended", status.Stopped, status.GoalExit},
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
	Exit                   // the container ends
	Swept                  // no process of a former gateway is alive
	Launched               // the stage has executed the gateway
	Failed                 // the start failed
	Proven                 // the proof held
	Died                   // the gateway was reaped
	Retry                  // the backoff is over
	GraceOver              // it did not stop in time
	events
)

var eventText = [events]string{
	Start: "start", Restart: "restart", Stop: "stop", Exit: "exit", Swept: "swept", Launched: "launched",
	Failed: "failed", Proven: "proven", Died: "died", Retry: "retry", GraceOver: "grace-over",
}

func (e Event) String() string { return eventText[e] }

// Action is the one operation that a transition performs.
type Action uint8

// The actions.
const (
	actIgnore     Action = iota // nothing
	actImpossible               // a bug, which is only logged
	actSweep                    // end the remaining processes of a former gateway
	actLaunch                   // prepare, fork
	actProve                    // begin to prove it
	actSettle                   // it serves; arm health checks, answer requests
	actHalt                     // stop signal and grace, or sweep if there is no process
	actHasten                   // it is already being stopped; allow at most stop.grace from now
	actKill                     // SIGKILL
	actWait                     // charge the exit, arm the backoff
	actRest                     // it is stopped; answer requests
	actions
)

type cell struct {
	next   Phase
	action Action
}

// table has a cell for each event in each phase. A change of phase cancels timers
// and a running sweep, so a late one is impossible. A report of a process or a stage
// may come late, and is ignored then.
var table = [phases][events]cell{
	Starting: {
		Start: {Starting, actIgnore}, Restart: {Restarting, actHalt}, Stop: {Halting, actHalt}, Exit: {Ending, actHalt},
		Swept: {Starting, actLaunch}, Launched: {Starting, actProve}, Failed: {Waiting, actWait},
		Proven: {Running, actSettle}, Died: {Waiting, actWait},
		Retry: {Starting, actImpossible}, GraceOver: {Starting, actImpossible},
	},
	Running: {
		Start: {Running, actIgnore}, Restart: {Restarting, actHalt}, Stop: {Halting, actHalt}, Exit: {Ending, actHalt},
		Swept: {Running, actImpossible}, Launched: {Running, actImpossible}, Failed: {Running, actImpossible},
		Proven: {Running, actIgnore}, Died: {Waiting, actWait},
		Retry: {Running, actImpossible}, GraceOver: {Running, actImpossible},
	},
	Restarting: {
		Start: {Restarting, actIgnore}, Restart: {Restarting, actIgnore}, Stop: {Halting, actHasten}, Exit: {Ending, actHasten},
		Swept: {Starting, actLaunch}, Launched: {Restarting, actIgnore}, Failed: {Restarting, actSweep},
		Proven: {Restarting, actIgnore}, Died: {Restarting, actSweep},
		Retry: {Restarting, actImpossible}, GraceOver: {Restarting, actKill},
	},
	Halting: {
		Start: {Restarting, actIgnore}, Restart: {Restarting, actIgnore}, Stop: {Halting, actIgnore}, Exit: {Ending, actHasten},
		Swept: {Stopped, actRest}, Launched: {Halting, actIgnore}, Failed: {Halting, actSweep},
		Proven: {Halting, actIgnore}, Died: {Halting, actSweep},
		Retry: {Halting, actImpossible}, GraceOver: {Halting, actKill},
	},
	Ending: {
		Start: {Ending, actIgnore}, Restart: {Ending, actIgnore}, Stop: {Ending, actIgnore}, Exit: {Ending, actIgnore},
		Swept: {Ended, actRest}, Launched: {Ending, actIgnore}, Failed: {Ending, actSweep},
		Proven: {Ending, actIgnore}, Died: {Ending, actSweep},
		Retry: {Ending, actImpossible}, GraceOver: {Ending, actKill},
	},
	Waiting: {
		Start: {Starting, actSweep}, Restart: {Starting, actSweep}, Stop: {Halting, actHalt}, Exit: {Ending, actHalt},
		Swept: {Waiting, actImpossible}, Launched: {Waiting, actIgnore}, Failed: {Waiting, actIgnore},
		Proven: {Waiting, actIgnore}, Died: {Waiting, actIgnore},
		Retry: {Starting, actSweep}, GraceOver: {Waiting, actImpossible},
	},
	Stopped: {
		Start: {Starting, actSweep}, Restart: {Starting, actSweep}, Stop: {Stopped, actRest}, Exit: {Ending, actHalt},
		Swept: {Stopped, actImpossible}, Launched: {Stopped, actIgnore}, Failed: {Stopped, actIgnore},
		Proven: {Stopped, actIgnore}, Died: {Stopped, actIgnore},
		Retry: {Stopped, actImpossible}, GraceOver: {Stopped, actImpossible},
	},
	Ended: {
		Start: {Ended, actIgnore}, Restart: {Ended, actIgnore}, Stop: {Ended, actIgnore}, Exit: {Ended, actIgnore},
		Swept: {Ended, actIgnore}, Launched: {Ended, actIgnore}, Failed: {Ended, actIgnore},
		Proven: {Ended, actIgnore}, Died: {Ended, actIgnore}, Retry: {Ended, actIgnore}, GraceOver: {Ended, actIgnore},
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
