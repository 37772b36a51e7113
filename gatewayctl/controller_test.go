package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"gatewayinit/internal/controller"
	"gatewayinit/internal/prockey"
	"gatewayinit/internal/status"
	"gatewayinit/supervisor/control"
)

// Each way to come to nothing has its exit code and, unless it was said already,
// its line. That there is no supervisor is nothing that its own user can say.
func TestControlFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
		says string
	}{
		"said":          {exitCode(exitNotServing), exitNotServing, ""},
		"said-usage":    {fmt.Errorf("x: %w", exitCode(exitRefused)), exitRefused, ""},
		"said-nobody":   {exitCode(exitNoSupervisor), exitFailed, ""},
		"nobody":        {controller.ErrNone, exitNoSupervisor, "no gateway-init runs here"},
		"ours":          {&controller.Failure{Stage: "x", Reason: control.NotPermitted, Err: controller.ErrOurs}, exitRefused, "nothing was ended"},
		"deadline":      {&controller.Failure{Stage: "y", Reason: control.Unproven, Err: context.DeadlineExceeded}, exitDeadline, "while y"},
		"interrupted":   {context.Canceled, exitFailed, "canceled"},
		"with-a-reason": {&controller.Failure{Stage: "z", Reason: control.ListenerMissing, Err: errors.New("w")}, exitNotServing, "listener-missing: while z: w"},
		"without":       {errors.New("v"), exitFailed, "cannot adopt: v"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.want(w.controlFailed("adopt", c.err), c.code, "", c.says)
		})
	}
}

// The last look before a stranger is ended: one that serves is ours, one that
// cannot read the record ends nobody.
func TestStillStrange(t *testing.T) {
	mine := func(prockey.Key) bool { return true }
	others := func(prockey.Key) bool { return false }
	for name, c := range map[string]struct {
		now  view
		pid  int
		want control.Reason // "": none
	}{
		"stranger":  {view{owns: others}, 0, ""},
		"serves":    {view{pid: 7, owns: mine, verdict: verdict{serving: true}}, 7, ""},
		"ours":      {view{owns: mine}, 0, control.NotPermitted},
		"no-record": {view{verdict: verdict{detail: "gone"}}, 0, control.Unproven},
	} {
		pid, err := stillStrange(c.now, prockey.Key{PID: 9})
		f := &controller.Failure{}
		if errors.As(err, &f); pid != c.pid || f.Reason != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %d, %v", name, pid, err)
		}
	}
}

// Everything in the record is ours, and nobody else.
func TestRecorded(t *testing.T) {
	r := serving()
	const far = 1 << 29 // no pid
	r.Init.PID, r.Gateway.PID = far, far+1
	r.Sidecars = []status.Child{{PID: far + 2}}
	r.Command = &status.Child{PID: far + 3}
	ours := recorded(&r)
	for pid := far; pid < far+4; pid++ {
		if !ours(prockey.Key{PID: pid}) {
			t.Errorf("%d is not ours", pid)
		}
	}
	if ours(prockey.Key{PID: os.Getpid()}) {
		t.Error("this process is ours")
	}
}

// A stop of what could not be proved does not say that there was nothing.
func TestStoppedUnknown(t *testing.T) {
	stop := control.Request{Action: control.Stop}
	for old, want := range map[int]string{controller.Unknown: "stopped", 0: "stopped: there was no gateway to stop", 7: "stopped: pid 7"} {
		if got := success(stop, control.Reply{Outcome: control.Stopped, OldPID: old}); got != want {
			t.Errorf("%d: %q", old, got)
		}
	}
}
