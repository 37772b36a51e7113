package supervisor

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Every cell is filled on purpose: a zero cell would be a silent jump to
// Starting.
func TestTableIsTotal(t *testing.T) {
	for p := range phases {
		for e := range events {
			c := table[p][e]
			if c == (cell{}) && p != Starting {
				t.Errorf("%v × %v is not filled", p, e)
			}
			if c.action == actImpossible && c.next != p {
				t.Errorf("%v × %v is impossible but moves to %v", p, e, c.next)
			}
		}
	}
}

func TestNextRefusesTheImpossible(t *testing.T) {
	p, a, err := next(Running, Retry)
	var te *TransitionError
	if !errors.As(err, &te) || te.From != Running || te.On != Retry {
		t.Fatalf("got %v, want a TransitionError", err)
	}
	if p != Running || a != actIgnore {
		t.Errorf("an impossible event moved to %v with %v", p, a)
	}
	if !strings.Contains(err.Error(), "retry") {
		t.Errorf("message does not name the event: %v", err)
	}
}

// Whatever happens, the machine can be ended: Exit leads to Ended once the
// gateway is gone, from every phase.
func TestExitEndsEveryPhase(t *testing.T) {
	for p := range phases {
		at, _, err := next(p, Exit)
		if err != nil {
			t.Fatalf("%v × exit: %v", p, err)
		}
		for _, e := range []Event{Start, Restart, Stop, Died, Swept} {
			if at, _, err = next(at, e); err != nil {
				t.Fatalf("%v × exit, then %v: %v", p, e, err)
			}
		}
		if at != Ended {
			t.Errorf("%v × exit ends in %v", p, at)
		}
	}
}

// A stop is never overtaken by a crash, a backoff or a late stage: only Start,
// Restart and Exit leave Stopped.
func TestOnlyRequestsLeaveStopped(t *testing.T) {
	for e := range events {
		at, _, err := next(Stopped, e)
		if err == nil && at != Stopped && e != Start && e != Restart && e != Exit {
			t.Errorf("stopped × %v leads to %v", e, at)
		}
	}
}

// Nothing launches but a start whose sweep is over: two gateways at once would
// need a second way.
func TestLaunchOnlyAfterSweep(t *testing.T) {
	for p := range phases {
		for e := range events {
			if c := table[p][e]; c.action == actLaunch && (e != Swept || c.next != Starting) {
				t.Errorf("%v × %v launches", p, e)
			}
		}
	}
}

func TestDiagramIsTheTable(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for line := range strings.Lines(Render()) {
		want.WriteString("//" + line)
	}
	if !strings.Contains(string(doc), want.String()) {
		t.Errorf("doc.go does not hold the table; it should hold\n%s", want.String())
	}
}

func TestWords(t *testing.T) {
	for p := range phases {
		if p.String() == "" || p.State() == "" || p.Goal() == "" {
			t.Errorf("phase %d has no words", p)
		}
	}
	for e := range events {
		if e.String() == "" {
			t.Errorf("event %d has no word", e)
		}
	}
	for a := range actions {
		if a.String() == "" {
			t.Errorf("action %d has no word", a)
		}
	}
}
