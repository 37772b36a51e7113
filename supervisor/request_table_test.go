// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

var requestStateText = [requestStates]string{
	requestIdle: "idle", requestProbing: "probing", requestChecking: "checking", requestRecovering: "recovering",
	requestAwaitingStart: "awaiting-start", requestAwaitingStop: "awaiting-stop",
}

func (s requestState) String() string { return requestStateText[s] }

var outcomeText = [outcomes]string{
	outcomeProven: "proven", outcomeUnknown: "unknown", outcomeDown: "down", outcomeDownForGood: "down-for-good",
	outcomeReady: "ready", outcomeFailed: "failed", outcomeReplaced: "replaced", outcomeStopped: "stopped",
	outcomeSuperseded: "superseded", outcomeShutdown: "shutdown", outcomeTerminated: "terminated",
}

func (o outcome) String() string { return outcomeText[o] }

var decisionText = [...]string{
	wait: "wait", answerOK: "ok", answerRunning: "already-running", answerStopped: "stopped", answerFailed: "REASON",
	answerSuperseded: "superseded", answerShutdown: "shutting-down", wishProof: "prove", wishStart: "start", wishRestart: "restart",
}

func (v decision) String() string { return decisionText[v] }

func (v decision) answers() bool { return v >= answerOK && v <= answerShutdown }

// TestRequestTableIsTotal checks that each request that is over was answered, that no
// request is answered and goes on, and that no cell was forgotten.
func TestRequestTableIsTotal(t *testing.T) {
	for state := range requestStates {
		if state.String() == "" {
			t.Errorf("state %d has no name: add it to requestStateText in this file", state)
		}
		if state != requestIdle && requestTable[state] == [outcomes]requestCell{} {
			t.Errorf("%v has no row in requestTable (request_table.go)", state)
		}
		for o := range outcomes {
			if o.String() == "" {
				t.Errorf("outcome %d has no name: add it to outcomeText in this file", o)
			}
			c := requestTable[state][o]
			if over := c.next == requestIdle; state != requestIdle && over != c.decision.answers() {
				t.Errorf("%v, %v: %v, and then %v", state, o, c.decision, c.next)
			}
			if state == requestIdle && c != (requestCell{}) {
				t.Errorf("no request is in progress, and %v leads to %v", o, c.decision)
			}
		}
	}
}

// TestEachRequestEnds checks that from each state some outcome answers the request,
// and that the end of the container always does.
func TestEachRequestEnds(t *testing.T) {
	for state := requestIdle + 1; state < requestStates; state++ {
		if c := requestTable[state][outcomeTerminated]; c.decision != answerShutdown {
			t.Errorf("%v: %v at the end", state, c.decision)
		}
	}
}

// TestBeginRequest checks how each request begins in each situation: with an answer,
// or with a state in which it waits.
func TestBeginRequest(t *testing.T) {
	for _, action := range control.Actions() {
		begins := false
		for p := range phases {
			for bits := range 16 {
				s := situation{p, bits&1 != 0, bits&2 != 0, bits&4 != 0, bits&8 != 0}
				c := beginRequest(action, s)
				begins = begins || c.decision != answerFailed
				if (c.next == requestIdle) != c.decision.answers() || c.decision.answers() && c.decision != answerFailed {
					t.Errorf("%s in %+v: %v, and then %v", action, s, c.decision, c.next)
				}
			}
		}
		if !begins {
			t.Errorf("%s has no case in beginRequest (serve.go)", action)
		}
	}
	for name, c := range map[string]struct {
		action control.Action
		s      situation
		want   requestCell
	}{
		"stop-anywhere":         {control.Stop, situation{phase: phaseBackingOff}, requestCell{requestAwaitingStop, wait}},
		"restart-stopped":       {control.Restart, situation{phase: phaseStopped}, requestCell{requestAwaitingStart, wishRestart}},
		"start-running":         {control.Start, situation{phase: phaseRunning}, requestCell{requestChecking, wishProof}},
		"recover-running":       {control.Recover, situation{phase: phaseRunning}, requestCell{requestRecovering, wishProof}},
		"recover-backoff":       {control.Recover, situation{phase: phaseBackingOff}, requestCell{requestAwaitingStart, wishStart}},
		"recover-late-down":     {control.Recover, situation{phaseStarting, true, true, true, false}, requestCell{requestAwaitingStart, wishRestart}},
		"recover-late-unknown":  {control.Recover, situation{phaseStarting, true, true, false, false}, requestCell{requestIdle, answerFailed}},
		"start-late-down":       {control.Start, situation{phaseStarting, true, true, true, false}, requestCell{requestIdle, answerFailed}},
		"start-starting":        {control.Start, situation{phaseStarting, true, false, true, false}, requestCell{requestAwaitingStart, wishStart}},
		"reload-running":        {control.Reload, situation{phase: phaseRunning}, requestCell{requestProbing, wishProof}},
		"reload-starting":       {control.Reload, situation{phaseStarting, true, false, false, false}, requestCell{requestIdle, answerFailed}},
		"probe-running":         {control.Probe, situation{phase: phaseRunning, proving: true}, requestCell{requestProbing, wishProof}},
		"probe-starting":        {control.Probe, situation{phaseStarting, true, false, false, false}, requestCell{requestProbing, wishProof}},
		"probe-in-an-attempt":   {control.Probe, situation{phaseStarting, true, false, false, true}, requestCell{requestProbing, wait}},
		"probe-before-the-exec": {control.Probe, situation{phase: phaseStarting}, requestCell{requestIdle, answerFailed}},
		"probe-stopped":         {control.Probe, situation{phase: phaseStopped}, requestCell{requestIdle, answerFailed}},
	} {
		if got := beginRequest(c.action, c.s); got != c.want {
			t.Errorf("%s: %v, and then %v", name, got.decision, got.next)
		}
	}
}

// TestRequestDiagramIsTheTable checks that the page shows the table as it is.
func TestRequestDiagramIsTheTable(t *testing.T) {
	comparePage(t, "request table", renderRequests())
}

// renderRequests draws the table as a block of Markdown. Outcomes that do not concern
// the state are left out.
func renderRequests() string {
	const indent = 15
	var b strings.Builder
	b.WriteByte('\n')
	for state := requestIdle + 1; state < requestStates; state++ {
		fmt.Fprintf(&b, "    %-14s", state)
		line := indent
		for o := range outcomes {
			c := requestTable[state][o]
			if c.decision == wait && c.next == state {
				continue
			}
			cell := fmt.Sprintf(" %v→%v", o, c.next)
			if c.decision != wait {
				cell += "/" + c.decision.String()
			}
			if line += len([]rune(cell)); line > 92 {
				b.WriteString("\n" + strings.Repeat(" ", indent+3))
				line = indent + len([]rune(cell))
			}
			b.WriteString(cell)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.String()
}
