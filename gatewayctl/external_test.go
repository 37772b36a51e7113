// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/stepdown"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// TestExternalFailed checks the exit code of each failure, and its line if it was not
// printed yet. The supervisor's own user cannot say that there is no supervisor.
func TestExternalFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
		says string
	}{
		"said":                       {stepdown.ExitError(exitNotServing), exitNotServing, ""},
		"said-usage":                 {fmt.Errorf("x: %w", stepdown.ExitError(exitRefused)), exitRefused, ""},
		"no-supervisor-by-exit-code": {stepdown.ExitError(exitNoSupervisor), exitFailed, "XDG_RUNTIME_DIR"},
		"ambiguous":                  {&external.Failure{Stage: "x", Reason: reason.Unproven, Err: external.ErrAmbiguous}, exitNotServing, "waiting does not help"},
		"no-right":                   {&external.Failure{Stage: "x", Reason: reason.NotPermitted, Err: os.ErrPermission}, exitRefused, "root's exec needs SETUID"},
		"no-supervisor":              {external.ErrNone, exitNoSupervisor, "no gateway-init runs here"},
		"ours":                       {&external.Failure{Stage: "x", Reason: reason.NotPermitted, Err: external.ErrOurs}, exitRefused, "nothing was ended"},
		"deadline":                   {&external.Failure{Stage: "y", Reason: reason.Unproven, Err: context.DeadlineExceeded}, exitDeadline, "while y"},
		"interrupted":                {context.Canceled, exitFailed, "canceled"},
		"with-a-reason":              {&external.Failure{Stage: "z", Reason: reason.ListenerMissing, Err: errors.New("w")}, exitNotServing, "listener-missing: while z: w"},
		"without":                    {errors.New("v"), exitFailed, "cannot adopt: v"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.want(w.externalFailed("adopt", c.err), c.code, "", c.says)
		})
	}
}

// TestStillUnmanaged checks the last look before an unmanaged gateway is ended. If the
// gateway serves by now, it is ours. If the record cannot be read, nothing is ended.
func TestStillUnmanaged(t *testing.T) {
	mine := func(procfs.Snapshot) bool { return true }
	others := func(procfs.Snapshot) bool { return false }
	for name, c := range map[string]struct {
		now  view
		pid  int
		want reason.Reason // "": none
	}{
		"stranger":  {view{owns: others}, 0, ""},
		"serves":    {view{pid: 7, owns: mine, verdict: verdict{serving: true}}, 7, ""},
		"ours":      {view{owns: mine}, 0, reason.NotPermitted},
		"no-record": {view{verdict: verdict{detail: "gone"}}, 0, reason.Unproven},
	} {
		pid, err := stillUnmanaged(c.now, procfs.Snapshot{PID: 9})
		f := &external.Failure{}
		if errors.As(err, &f); pid != c.pid || f.Reason != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %d, %v", name, pid, err)
		}
	}
}

// TestInRecord checks that the processes in the record are ours, and no others.
func TestInRecord(t *testing.T) {
	r := servingRecord()
	const far = 1 << 29 // no pid
	r.Init.PID, r.Gateway.PID = far, far+1
	r.Sidecars = []status.Child{{PID: far + 2}}
	r.Command = &status.Child{PID: far + 3}
	ours := inRecord(&r)
	for pid := far; pid < far+4; pid++ {
		if !ours(procfs.Snapshot{PID: pid}) {
			t.Errorf("%d is not ours", pid)
		}
	}
	if ours(procfs.Snapshot{PID: os.Getpid()}) {
		t.Error("this process is ours")
	}
}

// TestStoppedUnknown checks that an unproved gateway is not reported as absent.
func TestStoppedUnknown(t *testing.T) {
	stop := control.Request{Action: control.Stop}
	for old, want := range map[int]string{external.Unknown: "stopped", 0: "stopped: there was no gateway to stop", 7: "stopped: pid 7"} {
		if got := success(stop, control.Reply{Outcome: control.Stopped, OldPID: old}); got != want {
			t.Errorf("%d: %q", old, got)
		}
	}
}

// TestControls checks that a directory of the agent hides no managed supervisor
// from root, and that root is no controller of a root supervisor.
func TestControls(t *testing.T) {
	testenv.Root(t)
	w := newFixture(t)
	w.find = func(context.Context) (*external.Supervisor, error) { return nil, external.ErrAmbiguous }
	must(t, os.Mkdir(w.path+"/"+controlDir, 0o700))
	if w.controls() {
		t.Error("beside a supervisor that runs as root")
	}
	must(t, os.Chown(w.path, testenv.Stranger, testenv.Stranger))
	if !w.controls() {
		t.Error("the agent's directory counts")
	}
	w.find = func(context.Context) (*external.Supervisor, error) { return nil, external.ErrNone }
	if w.controls() {
		t.Error("there is nothing to control")
	}
}

// TestControlsWhilePID1Starts is for an old bug. The engine's "run" returns while
// PID 1 is still the runtime's. PID 1 became gateway-init while a restart looked at
// it, and root was told that a supervisor without root could not be proved.
func TestControlsWhilePID1Starts(t *testing.T) {
	testenv.Root(t)
	w := newFixture(t)
	w.patience = testenv.Patience
	must(t, os.Remove(w.path))
	for later, want := range map[error]bool{external.ErrUnproven: false, external.ErrNone: false, nil: true} {
		looks := 0
		w.find = func(context.Context) (*external.Supervisor, error) {
			if looks++; looks < 3 {
				return nil, fmt.Errorf("cannot look at PID 1: %w", procfs.ErrChanged)
			}
			if later == nil {
				return nil, external.ErrAmbiguous
			}
			return nil, later
		}
		if got := w.controls(); got != want || looks != 3 {
			t.Errorf("%v after %d looks, then %v: want %v", got, looks, later, want)
		}
	}
	w.patience, w.find = 0, func(context.Context) (*external.Supervisor, error) { return nil, procfs.ErrChanged }
	if !w.controls() {
		t.Error("a PID 1 that changes all the time is taken for none")
	}
}

// TestDrainTooLate checks that a drain that other commands have left no time for is
// not an error in the arguments.
func TestDrainTooLate(t *testing.T) {
	w := newFixture(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := w.asSupervisor(ctx, nil, control.Request{Action: control.Restart, Drain: 60})
	w.want(w.externalFailed("restart", err), exitDeadline, "", "the drain may take 1m0s")
	if err := w.asSupervisor(context.Background(), nil, control.Request{}); err == nil {
		t.Error("without a deadline")
	}
}
