// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/exitauth"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestAuthorizedExit checks that an exit that root authorized is a restart. Any other
// exit is a failure, and the gateway is started again after the backoff.
func TestAuthorizedExit(t *testing.T) {
	for name, c := range map[string]struct {
		says   error
		logged string
	}{
		"authorized": {nil, `"event":"exit-authorized","pid":77,"controller":42`},
		"none":       {exitauth.ErrNone, ""},
		"refused":    {errors.Join(exitauth.ErrRefused, errors.New("not root")), `"event":"exit-not-authorized"`},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t).running()
			d.unit.backoff.reset = time.Hour // an exit after that time does not count as a failure
			d.unit.child.id = procfs.ID{PID: 77, Start: 99}
			d.unit.child.exit = &sys.Exit{PID: 77, Status: unix.WaitStatus(1 << 8)}
			d.c.Authorized = func(p procfs.ID) (int, error) {
				if p != d.unit.child.id {
					t.Errorf("asked about %v", p)
				}
				return 42, c.says
			}
			started := false
			d.c.Prepare = func() error { started = true; return errors.New("no further") }
			d.gatewayEnded(d.unit.child)
			d.apply()
			authorized := c.says == nil
			if started != authorized || d.unit.lastExit.Requested != authorized || d.unit.lastExit.Failure == authorized || (d.unit.crashes == 0) != authorized {
				t.Errorf("started at once: %v; %+v; %d crashes", started, d.unit.lastExit, d.unit.crashes)
			}
			if !d.timers.armed(retryTimer) {
				t.Error("it is never tried again")
			}
			if text := d.log.String(); !strings.Contains(text, c.logged) || c.logged == "" && strings.Contains(text, "authorized") {
				t.Errorf("logged %s", text)
			}
		})
	}
}

// TestAuthorizedExitDuringALook checks that a request that was checking the gateway
// when root ended it is answered by the next gateway.
func TestAuthorizedExitDuringALook(t *testing.T) {
	for words, state := range map[string]requestState{"recover": requestRecovering, "start": requestChecking} {
		d := newFixture(t).serving().running()
		d.request(1, words)
		d.inProgress(d.requests.queue.Next(), state)
		d.unit.child.exit = &sys.Exit{PID: 77, Status: unix.WaitStatus(1 << 8)}
		d.c.Authorized = func(procfs.ID) (int, error) { return 42, nil }
		d.gatewayEnded(d.unit.child)
		d.unit.child = &child{proc: &launch.Proc{PID: 78}}
		d.tell(outcomeReady, "")
		d.replies("complete ok 77 78")
		if d.requests.job != nil {
			t.Errorf("%s waits for ever", words)
		}
	}
}

// TestNotAskedAbout checks that no authorization is looked up for an exit that we
// asked for, or for a child that never executed the gateway.
func TestNotAskedAbout(t *testing.T) {
	for name, spoil := range map[string]func(*child){
		"asked":        func(c *child) { c.asked = true },
		"not-executed": func(c *child) { c.err = &launch.Failure{Step: launch.StepExec} },
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t).running()
			d.unit.start.launchedBefore = true
			d.c.Gateway.Spec.Argv = []string{"/gateway"}
			d.unit.child.exit = &sys.Exit{PID: 77}
			spoil(d.unit.child)
			d.c.Authorized = func(procfs.ID) (int, error) { t.Error("asked"); return 0, nil }
			d.gatewayEnded(d.unit.child)
		})
	}
	d := newFixture(t).running() // where root sends its own requests
	d.unit.start.proven = time.Now()
	d.unit.child.exit = &sys.Exit{PID: 77}
	d.gatewayEnded(d.unit.child)
	if d.unit.lastExit.Requested {
		t.Error("authorized, and no process did it")
	}
}
