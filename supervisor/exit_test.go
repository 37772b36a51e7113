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
			d.g.HoldCodes, d.backoff.hold = []int{78, 79}, []int{78, 79}
			d.g.ExitTexts = []config.ExitText{{Code: 78, Text: text}, {Code: 1, Text: "a token is missing"}, {Code: 137, Text: "out of memory, maybe"}}
			d.gateway = &child{proc: &launch.Proc{PID: nobody}, started: time.Now(), exit: &sys.Exit{Status: c.status}}
			d.gatewayDone(d.gateway)
			d.apply()
			if d.phase != phaseBackingOff || d.rec.Detail != "the gateway ended with "+c.detail || d.rec.LastExit.Text != c.text {
				t.Errorf("%v, detail %q, text %q", d.phase, d.rec.Detail, d.rec.LastExit.Text)
			}
			if held := d.rec.Backoff.DelayMS == time.Minute.Milliseconds(); held != strings.HasPrefix(name, "held") {
				t.Errorf("the next try in %d ms", d.rec.Backoff.DelayMS)
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
	d.launchedBefore, d.c.Gateway.Spec.Argv = true, []string{"/gateway"}
	d.backoff.reset = time.Hour // an exit after that time does not count as a failure
	d.c.Prepare = func() error { return errors.New("no further") }
	d.gateway.exit = &sys.Exit{PID: 77, Status: unix.WaitStatus(1 << 8)}
	d.gatewayDone(d.gateway)
	d.apply()
	if d.phase != phaseBackingOff || !d.rec.LastExit.Failure {
		t.Fatalf("%v, %+v", d.phase, d.rec.LastExit)
	}
	d.post(eventRetry)
	d.apply()
	if d.phase != phaseBackingOff || d.rec.Reason != "prepare-failed" || !d.rec.LastExit.Failure || d.rec.Crashes != 1 {
		t.Errorf("%v, %s, %+v, %d crashes", d.phase, d.rec.Reason, d.rec.LastExit, d.rec.Crashes)
	}
	for step, failure := range map[launch.Step]bool{launch.StepExec: true, launch.StepDied: false} {
		d.phase = phaseStarting
		d.gateway = &child{proc: &launch.Proc{PID: 78}, exit: &sys.Exit{PID: 78}, err: &launch.Failure{Step: step}}
		d.gatewayDone(d.gateway)
		d.apply()
		if d.rec.LastExit.PID != 78 || d.rec.LastExit.Failure != failure {
			t.Errorf("%s: %+v", step, d.rec.LastExit)
		}
	}
}
