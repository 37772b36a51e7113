// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestTableIsTotal checks that every cell is filled on purpose. A zero cell would be
// a silent change to Starting.
func TestTableIsTotal(t *testing.T) {
	for p := range phases {
		for e := range events {
			c := table[p][e]
			if c == (cell{}) && p != phaseStarting {
				t.Errorf("%v × %v is not filled", p, e)
			}
			if c.action == actImpossible && c.next != p {
				t.Errorf("%v × %v is impossible but moves to %v", p, e, c.next)
			}
		}
	}
}

func TestNextRefusesTheImpossible(t *testing.T) {
	p, a, err := next(phaseRunning, eventRetry)
	var te *transitionError
	if !errors.As(err, &te) || te.From != phaseRunning || te.On != eventRetry {
		t.Fatalf("got %v, want a TransitionError", err)
	}
	if p != phaseRunning || a != actIgnore {
		t.Errorf("an impossible event moved to %v with %v", p, a)
	}
	if !strings.Contains(err.Error(), "retry") {
		t.Errorf("message does not name the event: %v", err)
	}
}

// TestShutdownEndsEveryPhase checks that Shutdown leads from every phase to
// Terminated once the gateway is gone.
func TestShutdownEndsEveryPhase(t *testing.T) {
	for p := range phases {
		at, _, err := next(p, eventShutdown)
		if err != nil {
			t.Fatalf("%v × exit: %v", p, err)
		}
		for _, e := range []event{eventStart, eventRestart, eventStop, eventDied, eventSwept} {
			if at, _, err = next(at, e); err != nil {
				t.Fatalf("%v × exit, then %v: %v", p, e, err)
			}
		}
		if at != phaseTerminated {
			t.Errorf("%v × exit ends in %v", p, at)
		}
	}
}

// TestOnlyRequestsLeaveStopped checks that no crash, backoff or late answer of a
// re-exec child overtakes a stop.
func TestOnlyRequestsLeaveStopped(t *testing.T) {
	for e := range events {
		at, _, err := next(phaseStopped, e)
		if err == nil && at != phaseStopped && e != eventStart && e != eventRestart && e != eventShutdown {
			t.Errorf("stopped × %v leads to %v", e, at)
		}
	}
}

// TestLaunchOnlyAfterSweep checks that only a start whose sweep is over launches. Two
// gateways at once would need a second way.
func TestLaunchOnlyAfterSweep(t *testing.T) {
	for p := range phases {
		for e := range events {
			if c := table[p][e]; c.action == actLaunch && (e != eventSwept || c.next != phaseStarting) {
				t.Errorf("%v × %v launches", p, e)
			}
		}
	}
}

// TestDiagramIsTheTable checks that the page shows the table as it is.
func TestDiagramIsTheTable(t *testing.T) {
	comparePage(t, "table", render())
}

// The page shows the state and the goal of each phase as they are.
func TestPhasesAreTheTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| phase | state | goal |\n|---|---|---|\n")
	for p := range phases {
		fmt.Fprintf(&b, "| %v | `%s` | `%s` |\n", p, p.state(), p.goal())
	}
	b.WriteByte('\n')
	comparePage(t, "phases", b.String())
}

// comparePage compares the part of docs/design.md between the marks of a name with
// want.
func comparePage(t *testing.T, name, want string) {
	t.Helper()
	const page = "../docs/design.md"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, found := strings.Cut(string(data), begin)
	got, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Errorf("%s has no marks of %s", page, name)
	case got == want:
	case *update:
		check(t, os.WriteFile(page, []byte(before+begin+want+end+after), 0o644))
	default:
		t.Errorf("%s differs from the code at the marks of %s: run go test ./supervisor -update", page, name)
	}
}

// update writes the generated parts of docs/design.md instead of comparing them.
var update = flag.Bool("update", false, "write the generated parts of docs/design.md")

var actionText = [actions]string{
	actIgnore: "-", actImpossible: "!", actSweep: "sweep", actLaunch: "launch", actProve: "prove", actOnReady: "on-ready",
	actStop: "stop", actShortenGrace: "shorten-grace", actKill: "kill", actScheduleRetry: "schedule-retry", actOnStopped: "on-stopped",
}

func (a action) String() string { return actionText[a] }

// render draws the table as a block of Markdown.
func render() string {
	const indent = 14
	var b strings.Builder
	b.WriteByte('\n')
	for p := range phases {
		fmt.Fprintf(&b, "    %-13s", p)
		line := indent
		for e := range events {
			c := table[p][e]
			if c.action == actImpossible || c.action == actIgnore && c.next == p {
				continue
			}
			s := fmt.Sprintf(" %v→%v", e, c.next)
			if c.action != actIgnore {
				s += "/" + c.action.String()
			}
			if line += len([]rune(s)); line > 92 {
				b.WriteString("\n" + strings.Repeat(" ", indent+3))
				line = indent + len([]rune(s))
			}
			b.WriteString(s)
		}
		if line == indent {
			b.WriteString(" (nothing more)")
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.String()
}

func TestWords(t *testing.T) {
	for p := range phases {
		if p.String() == "" || p.state() == "" || p.goal() == "" {
			t.Errorf("phase %d has no words: add them to phaseText in table.go", p)
		}
	}
	for e := range events {
		if e.String() == "" {
			t.Errorf("event %d has no word: add it to eventText in table.go", e)
		}
	}
	for a := range actions {
		if a.String() == "" {
			t.Errorf("action %d has no word: add it to actionText in table_test.go", a)
		}
	}
}

// TestEachActionIsCarriedOut checks that do has a case for each action.
func TestEachActionIsCarriedOut(t *testing.T) {
	for a := range actions {
		if a == actIgnore || a == actImpossible {
			continue
		}
		d := newFixture(t).serving()
		d.unit.phase = phaseStarting
		d.c.Prepare = func() error { return errors.New("not in this test") }
		d.unit.child = &child{proc: &launch.Proc{PID: nobody}, exit: &sys.Exit{PID: nobody}, started: time.Now()}
		if d.do(a); strings.Contains(d.log.String(), noCase) {
			t.Errorf("%v has no case in do of actions.go", a)
		}
	}
}

// TestStatusPageNamesEachPhase checks the table of docs/status.md.
func TestStatusPageNamesEachPhase(t *testing.T) {
	page, err := os.ReadFile("../docs/status.md")
	check(t, err)
	for p := range phases {
		row := fmt.Sprintf("| `%s` | `%s` |", p.state(), p.goal())
		if !strings.Contains(string(page), row) || !strings.Contains(string(page), "| "+p.String()+" |\n") {
			t.Errorf("docs/status.md, State and goal, has no row %s for %v", row, p)
		}
	}
}
