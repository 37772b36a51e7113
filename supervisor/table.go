// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"

	"github.com/gateway-init/gateway-init/internal/status"
)

// phase is the gateway's state and goal in one value (docs/design.md, section 9),
// because only these eight of their combinations exist.
type phase uint8

// The phases.
const (
	phaseStarting     phase = iota // sweep, prepare, launch, not yet proven
	phaseRunning                   // proven
	phaseRestarting                // stopping, to start again
	phaseStopping                  // stopping, to stay stopped
	phaseShuttingDown              // stopping, because the container ends
	phaseBackingOff                // waiting for the next start
	phaseStopped                   // on purpose
	phaseTerminated                // nothing more will happen
	phases
)

// phaseText has the name, state and goal of each phase.
var phaseText = [phases][3]string{
	phaseStarting:     {"starting", status.Starting, status.GoalRun},
	phaseRunning:      {"running", status.Running, status.GoalRun},
	phaseRestarting:   {"restarting", status.Stopping, status.GoalRun},
	phaseStopping:     {"stopping", status.Stopping, status.GoalStop},
	phaseShuttingDown: {"shutting-down", status.Stopping, status.GoalExit},
	phaseBackingOff:   {"backing-off", status.Backoff, status.GoalRun},
	phaseStopped:      {"stopped", status.Stopped, status.GoalStop},
	phaseTerminated:   {"terminated", status.Stopped, status.GoalExit},
}

func (p phase) String() string { return phaseText[p][0] }

// state returns the word for status.json.
func (p phase) state() string { return phaseText[p][1] }

// goal returns the word for status.json.
func (p phase) goal() string { return phaseText[p][2] }

// event is something that happens to the gateway.
type event uint8

// The events.
const (
	eventStart     event = iota // boot or a request wants it running
	eventRestart                // a request wants a new one, or it is definitely not serving
	eventStop                   // a request wants it stopped
	eventShutdown               // the container ends
	eventSwept                  // no process of a former gateway is alive
	eventLaunched               // the re-exec child has executed the gateway
	eventFailed                 // the start failed
	eventProven                 // the proof held
	eventDied                   // the gateway was reaped
	eventRetry                  // the backoff is over
	eventGraceOver              // it did not stop in time
	events
)

var eventText = [events]string{
	eventStart: "start", eventRestart: "restart", eventStop: "stop", eventShutdown: "shutdown", eventSwept: "swept", eventLaunched: "launched",
	eventFailed: "failed", eventProven: "proven", eventDied: "died", eventRetry: "retry", eventGraceOver: "grace-over",
}

func (e event) String() string { return eventText[e] }

// action is the one operation that a transition performs.
type action uint8

// The actions.
const (
	actIgnore        action = iota // nothing
	actImpossible                  // a bug, which is only logged
	actSweep                       // end the remaining processes of a former gateway
	actLaunch                      // prepare, fork
	actProve                       // begin to prove it
	actOnReady                     // it serves; arm health checks, answer requests
	actStop                        // stop signal and grace, or sweep if there is no process
	actShortenGrace                // it is already being stopped; allow at most stop.grace from now
	actKill                        // SIGKILL
	actScheduleRetry               // count the exit, arm the backoff
	actOnStopped                   // it is stopped; answer requests
	actions
)

type cell struct {
	next   phase
	action action
}

// table has a cell for each event in each phase. A change of phase cancels timers and
// a running sweep, so a late one is impossible. A report of a process or a re-exec
// child may come late, and is ignored then.
var table = [phases][events]cell{
	phaseStarting: {
		eventStart: {phaseStarting, actIgnore}, eventRestart: {phaseRestarting, actStop}, eventStop: {phaseStopping, actStop}, eventShutdown: {phaseShuttingDown, actStop},
		eventSwept: {phaseStarting, actLaunch}, eventLaunched: {phaseStarting, actProve}, eventFailed: {phaseBackingOff, actScheduleRetry},
		eventProven: {phaseRunning, actOnReady}, eventDied: {phaseBackingOff, actScheduleRetry},
		eventRetry: {phaseStarting, actImpossible}, eventGraceOver: {phaseStarting, actImpossible},
	},
	phaseRunning: {
		eventStart: {phaseRunning, actIgnore}, eventRestart: {phaseRestarting, actStop}, eventStop: {phaseStopping, actStop}, eventShutdown: {phaseShuttingDown, actStop},
		eventSwept: {phaseRunning, actImpossible}, eventLaunched: {phaseRunning, actImpossible}, eventFailed: {phaseRunning, actImpossible},
		eventProven: {phaseRunning, actIgnore}, eventDied: {phaseBackingOff, actScheduleRetry},
		eventRetry: {phaseRunning, actImpossible}, eventGraceOver: {phaseRunning, actImpossible},
	},
	phaseRestarting: {
		eventStart: {phaseRestarting, actIgnore}, eventRestart: {phaseRestarting, actIgnore}, eventStop: {phaseStopping, actShortenGrace}, eventShutdown: {phaseShuttingDown, actShortenGrace},
		eventSwept: {phaseStarting, actLaunch}, eventLaunched: {phaseRestarting, actIgnore}, eventFailed: {phaseRestarting, actSweep},
		eventProven: {phaseRestarting, actIgnore}, eventDied: {phaseRestarting, actSweep},
		eventRetry: {phaseRestarting, actImpossible}, eventGraceOver: {phaseRestarting, actKill},
	},
	phaseStopping: {
		eventStart: {phaseRestarting, actIgnore}, eventRestart: {phaseRestarting, actIgnore}, eventStop: {phaseStopping, actIgnore}, eventShutdown: {phaseShuttingDown, actShortenGrace},
		eventSwept: {phaseStopped, actOnStopped}, eventLaunched: {phaseStopping, actIgnore}, eventFailed: {phaseStopping, actSweep},
		eventProven: {phaseStopping, actIgnore}, eventDied: {phaseStopping, actSweep},
		eventRetry: {phaseStopping, actImpossible}, eventGraceOver: {phaseStopping, actKill},
	},
	phaseShuttingDown: {
		eventStart: {phaseShuttingDown, actIgnore}, eventRestart: {phaseShuttingDown, actIgnore}, eventStop: {phaseShuttingDown, actIgnore}, eventShutdown: {phaseShuttingDown, actIgnore},
		eventSwept: {phaseTerminated, actOnStopped}, eventLaunched: {phaseShuttingDown, actIgnore}, eventFailed: {phaseShuttingDown, actSweep},
		eventProven: {phaseShuttingDown, actIgnore}, eventDied: {phaseShuttingDown, actSweep},
		eventRetry: {phaseShuttingDown, actImpossible}, eventGraceOver: {phaseShuttingDown, actKill},
	},
	phaseBackingOff: {
		eventStart: {phaseStarting, actSweep}, eventRestart: {phaseStarting, actSweep}, eventStop: {phaseStopping, actStop}, eventShutdown: {phaseShuttingDown, actStop},
		eventSwept: {phaseBackingOff, actImpossible}, eventLaunched: {phaseBackingOff, actIgnore}, eventFailed: {phaseBackingOff, actIgnore},
		eventProven: {phaseBackingOff, actIgnore}, eventDied: {phaseBackingOff, actIgnore},
		eventRetry: {phaseStarting, actSweep}, eventGraceOver: {phaseBackingOff, actImpossible},
	},
	phaseStopped: {
		eventStart: {phaseStarting, actSweep}, eventRestart: {phaseStarting, actSweep}, eventStop: {phaseStopped, actOnStopped}, eventShutdown: {phaseShuttingDown, actStop},
		eventSwept: {phaseStopped, actImpossible}, eventLaunched: {phaseStopped, actIgnore}, eventFailed: {phaseStopped, actIgnore},
		eventProven: {phaseStopped, actIgnore}, eventDied: {phaseStopped, actIgnore},
		eventRetry: {phaseStopped, actImpossible}, eventGraceOver: {phaseStopped, actImpossible},
	},
	phaseTerminated: {
		eventStart: {phaseTerminated, actIgnore}, eventRestart: {phaseTerminated, actIgnore}, eventStop: {phaseTerminated, actIgnore}, eventShutdown: {phaseTerminated, actIgnore},
		eventSwept: {phaseTerminated, actIgnore}, eventLaunched: {phaseTerminated, actIgnore}, eventFailed: {phaseTerminated, actIgnore},
		eventProven: {phaseTerminated, actIgnore}, eventDied: {phaseTerminated, actIgnore}, eventRetry: {phaseTerminated, actIgnore}, eventGraceOver: {phaseTerminated, actIgnore},
	},
}

// transitionError means that an event cannot happen in a phase. That is a bug. It
// is logged, and PID 1 goes on.
type transitionError struct {
	From phase
	On   event
}

func (e *transitionError) Error() string {
	return fmt.Sprintf("internal error: event %v is impossible in phase %v", e.On, e.From)
}

// next looks up a transition. It is pure and total.
func next(p phase, e event) (phase, action, error) {
	c := table[p][e]
	if c.action == actImpossible {
		return p, actIgnore, &transitionError{p, e}
	}
	return c.next, c.action, nil
}
