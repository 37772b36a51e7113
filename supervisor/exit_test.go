// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestExitTexts checks texts, because a bare 78 sent users to the vendor's source.
func TestExitTexts(t *testing.T) {
	const text = "its own configuration is invalid"
	const held = "; the next try is after 1m0s, gatewayctl recover tries at once"
	for name, c := range map[string]struct {
		status unix.WaitStatus
		text   string
		detail string
	}{
		"held-with-text":    {78 << 8, text, "exit code 78 (" + text + ")" + held},
		"held-without-text": {79 << 8, "", "exit code 79" + held},
		"text-not-held":     {1 << 8, "a token is missing", "exit code 1 (a token is missing)"},
		"neither":           {2 << 8, "", "exit code 2"},
		"killed":            {9, "out of memory, maybe", "exit code 137 (out of memory, maybe)"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t).running()
			d.g.HoldCodes, d.unit.backoff.hold = []int{78, 79}, []int{78, 79}
			d.g.ExitTexts = []config.ExitText{{Code: 78, Text: text}, {Code: 1, Text: "a token is missing"}, {Code: 137, Text: "out of memory, maybe"}}
			d.unit.child = &child{proc: &launch.Proc{PID: nobody}, started: time.Now(), exit: &sys.Exit{Status: c.status}}
			d.gatewayEnded(d.unit.child)
			d.apply()
			if d.unit.phase != phaseBackingOff || d.unit.trouble.detail != "the gateway ended with "+c.detail || d.unit.lastExit.Text != c.text {
				t.Errorf("%v, detail %q, text %q", d.unit.phase, d.unit.trouble.detail, d.unit.lastExit.Text)
			}
			if held := d.unit.waiting.DelayMS == time.Minute.Milliseconds(); held != strings.HasPrefix(name, "held") {
				t.Errorf("the next try in %d ms", d.unit.waiting.DelayMS)
			}
			if c.text != "" && !strings.Contains(d.log.String(), c.text) {
				t.Errorf("logged %s", d.log.String())
			}
		})
	}
}

// TestLastExitKeepsItsFailureMark checks that a later start that fails leaves the
// mark of an exit. A re-exec child that could not execute the gateway has its own.
func TestLastExitKeepsItsFailureMark(t *testing.T) {
	d := newFixture(t).running()
	d.unit.start.launchedBefore, d.c.Gateway.Spec.Argv = true, []string{"/gateway"}
	d.unit.backoff.reset = time.Hour // an exit after that time does not count as a failure
	d.c.Prepare = func() error { return errors.New("no further") }
	d.unit.child.exit = &sys.Exit{PID: 77, Status: unix.WaitStatus(1 << 8)}
	d.gatewayEnded(d.unit.child)
	d.apply()
	if d.unit.phase != phaseBackingOff || !d.unit.lastExit.Failure {
		t.Fatalf("%v, %+v", d.unit.phase, d.unit.lastExit)
	}
	d.unit.post(eventRetry)
	d.apply()
	if d.unit.phase != phaseBackingOff || d.unit.trouble.reason != "prepare-failed" || !d.unit.lastExit.Failure || d.unit.crashes != 1 {
		t.Errorf("%v, %s, %+v, %d crashes", d.unit.phase, d.unit.trouble.reason, d.unit.lastExit, d.unit.crashes)
	}
	for step, failure := range map[launch.Step]bool{launch.StepExec: true, launch.StepDied: false} {
		d.unit.phase = phaseStarting
		d.unit.child = &child{proc: &launch.Proc{PID: 78}, exit: &sys.Exit{PID: 78}, err: &launch.Failure{Step: step}}
		d.gatewayEnded(d.unit.child)
		d.apply()
		if d.unit.lastExit.PID != 78 || d.unit.lastExit.Failure != failure {
			t.Errorf("%s: %+v", step, d.unit.lastExit)
		}
	}
}
