// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// taken returns a supervisor whose gateway's port another process has.
func taken(t *testing.T) (d *fixture, addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	d = newFixture(t)
	d.port = uint16(l.Addr().(*net.TCPAddr).Port)
	d.c.Prepare = func() error { return errors.New("no further") }
	return d, l.Addr().String()
}

// again makes one more try, and returns its log.
func (d *fixture) again() string {
	d.log.Reset()
	d.unit.phase = phaseBackingOff
	d.unit.post(eventRetry)
	d.apply()
	return d.log.String()
}

// TestSameFailureIsSaidOnce checks that a failure is logged again only if it differs,
// or if a gateway was executed since.
func TestSameFailureIsSaidOnce(t *testing.T) {
	d, _ := taken(t)
	said := func(what, log string, want bool) {
		t.Helper()
		for _, event := range []string{evStartFailed, evBackoff} {
			if strings.Contains(log, `"event":"`+event+`"`) != want {
				t.Errorf("%s: logged %s", what, log)
			}
		}
	}
	said("first", d.again(), true)
	at := d.unit.waiting.Until
	for range 3 {
		said("again", d.again(), false)
	}
	if d.unit.phase != phaseBackingOff || d.unit.trouble.reason != "listener-foreign" || !d.unit.waiting.Until.After(at) || !d.timers.armed(retryTimer) {
		t.Errorf("%v, %s, %+v", d.unit.phase, d.unit.trouble.reason, d.unit.waiting)
	}
	port := d.port
	d.port = 0
	said("another", d.again(), true)
	d.port = port
	said("the first after another", d.again(), true)
	d.unit.child = &child{proc: &launch.Proc{PID: nobody}}
	d.unit.executed()
	d.unit.events = nil
	said("after a gateway", d.again(), true)
}

// TestForeignTexts checks that no text names a uid where all processes have one.
func TestForeignTexts(t *testing.T) {
	for _, unseparated := range []bool{false, true} {
		d, addr := taken(t)
		d.c.Unseparated = unseparated
		d.again()
		ls, err := sockets.Listeners(d.port)
		check(t, err)
		uid := " uid " + formatInt(os.Getuid())
		for _, text := range []string{d.unit.trouble.detail, d.unit.exitDetail(1, 0, d.unit.portTaken()), d.prover.foreignText(ls[0])} {
			if !strings.Contains(text, addr) || strings.Contains(text, uid) == unseparated {
				t.Errorf("without separation %v: %q", unseparated, text)
			}
		}
		if text := d.prover.foreignText(ls[0]); unseparated && text != addr+" is held by no process of the gateway" {
			t.Errorf("%q", text)
		}
	}
}

// TestTokenNotHanded checks that a token that could not be handed over, or a rule of
// gateway.confine that could not be put into force, is not reported as a program that
// could not be executed.
func TestTokenNotHanded(t *testing.T) {
	for step, want := range map[launch.Step]string{
		launch.StepTokenFailed:  "cannot hand the gateway its token, its file is missing or changed: token-failed",
		launch.StepTokenChanged: "cannot hand the gateway its token, its file is missing or changed: token-changed",
		launch.StepConfine:      "cannot confine the gateway (gateway.confine): confine",
		launch.StepExec:         "cannot execute the gateway /gateway: exec",
	} {
		d := newFixture(t)
		d.unit.phase, d.unit.start.launchedBefore, d.c.Gateway.Spec.Argv = phaseStarting, true, []string{"/gateway"}
		d.unit.child = &child{proc: &launch.Proc{PID: nobody}, exit: &sys.Exit{PID: nobody}, err: &launch.Failure{Step: step}}
		d.gatewayEnded(d.unit.child)
		d.apply()
		if d.unit.phase != phaseBackingOff || d.unit.trouble.detail != want {
			t.Errorf("%v, %q", d.unit.phase, d.unit.trouble.detail)
		}
	}
}

// TestStartGetsLongerAfterFailures checks that ready.give_up, not ready.timeout, ends a
// start, and that it doubles with each failure in a row. Otherwise a migration at the
// start would begin again and again.
func TestStartGetsLongerAfterFailures(t *testing.T) {
	d := newFixture(t)
	d.g.GiveUp = 6 * time.Minute
	for streak, want := range []time.Duration{6, 12, 24, 48, 48, 48} {
		d.unit.backoff.streak = streak
		if got := d.unit.giveUpAfter(); got != want*time.Minute {
			t.Errorf("after %d failures it has %v", streak, got)
		}
	}
	d = newFixture(t).running()
	d.unit.phase = phaseStarting
	d.timers.arm(neverServedTimer, time.Hour)
	d.elapsed(readyTimer)
	if d.fill(); d.rec.Gateway.GiveUpAt == nil || len(d.unit.events) != 0 {
		t.Errorf("after ready.timeout: replaced at %v, events %v", d.rec.Gateway.GiveUpAt, d.unit.events)
	}
	d.prover.health.State = status.NotServing
	if d.elapsed(neverServedTimer); len(d.unit.events) != 1 || d.unit.events[0] != eventRestart {
		t.Errorf("after ready.give_up: %v", d.unit.events)
	}
}

// TestStartsAreCountedByTheEndBefore checks the counter of the start that follows each end
// of a gateway, and that no other one changes.
func TestStartsAreCountedByTheEndBefore(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(d *fixture)
		want status.Starts
	}{
		"requested": {func(d *fixture) { d.unit.child.asked = true }, status.Starts{Requested: 1}},
		"exited":    {func(*fixture) {}, status.Starts{Exited: 1}},
		"unresponsive": {func(d *fixture) {
			d.giveUp("health checks failed")
			d.unit.child.asked = true
		}, status.Starts{Unresponsive: 1}},
		"unresponsive-and-exited": {func(d *fixture) { d.giveUp("it never served") }, status.Starts{Unresponsive: 1}},
		"controller":              {func(d *fixture) { d.c.Authorized = func(procfs.ID) (int, error) { return 42, nil } }, status.Starts{Controller: 1}},
		"failed":                  {func(d *fixture) { d.unit.child.err = &launch.Failure{Step: launch.StepExec} }, status.Starts{Failed: 1}},
		"reported-late":           {func(d *fixture) { d.unit.child = nil }, status.Starts{Requested: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t)
			d.unit.countStart()
			d.running()
			d.unit.start.launchedBefore = true
			d.c.Gateway.Spec.Argv = []string{"/gateway"}
			d.unit.child.exit = &sys.Exit{PID: 77, Status: unix.WaitStatus(1 << 8)}
			c.end(d)
			if d.unit.child != nil {
				d.gatewayEnded(d.unit.child)
			}
			d.unit.countStart()
			d.fill()
			if c.want.First = 1; d.rec.Starts != c.want {
				t.Errorf("got %+v, want %+v", d.rec.Starts, c.want)
			}
		})
	}
}
