// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// TestFailed checks the exit code of each failure, and its line.
func TestFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
		says string
	}{
		"ambiguous":     {&external.Failure{Stage: "x", Reason: reason.Unproven, Err: external.ErrAmbiguous}, exitNotServing, "waiting does not help"},
		"no-right":      {&external.Failure{Stage: "x", Reason: reason.NotPermitted, Err: os.ErrPermission}, exitRefused, "root's exec needs SETUID"},
		"no-supervisor": {external.ErrNone, exitNoSupervisor, "no gateway-init runs here"},
		"ours":          {&external.Failure{Stage: "x", Reason: reason.NotPermitted, Err: external.ErrOurs}, exitRefused, "nothing was ended"},
		"deadline":      {&external.Failure{Stage: "y", Reason: reason.Unproven, Err: context.DeadlineExceeded}, exitDeadline, "while y"},
		"interrupted":   {context.Canceled, exitFailed, "canceled"},
		"with-a-reason": {&external.Failure{Stage: "z", Reason: reason.ListenerMissing, Err: errors.New("w")}, exitNotServing, "listener-missing: while z: w"},
		"without":       {errors.New("v"), exitFailed, "cannot adopt: v"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.want(w.failed(fmt.Errorf("cannot adopt: %w", c.err)), c.code, "", c.says)
		})
	}
}

// TestStoppedUnknown checks that an unproved gateway is not reported as absent.
func TestStoppedUnknown(t *testing.T) {
	stop := control.Request{Action: control.Stop}
	for old, want := range map[int]string{external.Unknown: "stopped", 0: "stopped: there was no gateway to stop", 7: "stopped: pid 7"} {
		if got := success(stop, operate.Result{Reply: control.Reply{Outcome: control.Stopped, OldPID: old}}); got != want {
			t.Errorf("%d: %q", old, got)
		}
	}
}
