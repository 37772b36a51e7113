// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

func cmdAdopt() verb {
	return verb{
		name: "adopt", args: "[--timeout D]", summary: "replace a gateway that was started by hand by our own",
		help: `Takes over a gateway that was started by hand (status says unsupervised). It
proves which process has the port open, and that the process answers as a
gateway does. Then it ends that process, starts our own gateway and proves it.

  --timeout D   wait at most this long in all (default 120s)

Exit code: 0 our gateway serves and is proven, 1 failed, 3 refused, 4 not
serving, 5 no supervisor could start a gateway (so nothing was ended), 6 the
deadline passed.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, restartTimeout)
			return func(a *app, _ []string) int {
				if code, ok := a.checkTimeout("adopt", *timeout); !ok {
					return code
				}
				return a.adopt(*timeout)
			}
		},
	}
}

func (a *app) adopt(timeout time.Duration) int {
	ctx, cancel := interruptibleContext()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	v := a.look(ctx)
	// Another controller may just have started it; we find out when it is our
	// turn.
	mayBeStarting := a.external && v.pid != 0
	switch {
	case v.serving:
		return a.write(fmt.Sprintf("already ours: pid %d, proven\n", v.pid))
	case v.code != exitNotServing || !mayHaveUnmanaged(v) && !mayBeStarting:
		return a.fail(v.code, fmt.Errorf("cannot adopt: %s: %s", v.reason, v.detail), v.hint)
	}
	show := a.stages("adopt")
	old, started, err := a.takeOver(ctx, v, show.stage)
	show.done()
	switch {
	case errors.Is(err, external.ErrNoUnmanaged):
		return a.fail(exitNotServing, fmt.Errorf("cannot adopt: there is no gateway to take over: %w", err), "gatewayctl recover")
	case err != nil:
		return a.externalFailed("adopt", err)
	case started == old:
		return a.write(fmt.Sprintf("already ours: pid %d, proven\n", old))
	case started == 0:
		deadline, _ := ctx.Deadline()
		return a.ask(control.Request{Action: control.Recover}, max(time.Until(deadline), time.Millisecond))
	}
	return a.write(fmt.Sprintf("adopted: pid %d → %d, proven\n", old, started))
}

// takeOver stops the unmanaged gateway. A controller also has a managed one started
// in its place. Otherwise started is 0, and the caller sends a request to start
// one.
func (a *app) takeOver(ctx context.Context, v view, say func(string)) (old, started int, err error) {
	if a.external {
		c, err := a.controller(ctx, say)
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		return c.Adopt(ctx, func(ctx context.Context) error {
			return a.asSupervisor(ctx, c, control.Request{Action: control.Recover})
		})
	}
	s, err := a.unmanagedGateway(ctx, v, say)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	if pid, err := stillUnmanaged(a.look(ctx), s.Key); pid != 0 || err != nil {
		return pid, pid, err
	}
	return s.Key.PID, 0, s.Stop(ctx)
}

// stillUnmanaged returns 0 and nil if k is still unmanaged in the view now, which
// is newer than k. PID 1 may have acted since the first look. pid is our gateway if
// it serves by now.
func stillUnmanaged(now view, k procfs.Snapshot) (pid int, err error) {
	const stage = "looking again"
	switch {
	case now.serving:
		return now.pid, nil
	case now.owns == nil:
		return 0, &external.Failure{Stage: stage, Reason: reason.Unproven, Err: errors.New(now.detail)}
	case now.owns(k):
		return 0, &external.Failure{Stage: stage, Reason: reason.NotPermitted, Err: external.ErrOurs}
	}
	return 0, nil
}

// unmanagedGateway returns the process that serves on the gateway's port and is not one
// of v's processes.
func (a *app) unmanagedGateway(ctx context.Context, v view, say func(string)) (*external.Unmanaged, error) {
	c, err := a.config()
	if err != nil {
		return nil, &external.Failure{Stage: "reading the configuration", Reason: reason.UnsafeConfig, Err: err}
	}
	ours := v.owns
	if ours == nil {
		ours = func(procfs.Snapshot) bool { return false }
	}
	return a.findUnmanaged(ctx, external.FromConfig(c), ours, say)
}

// unsupervised adds to a look whether an unmanaged gateway serves instead of our
// own.
func (a *app) unsupervised(ctx context.Context, v view) view {
	if a.anyoneElse() || !mayHaveUnmanaged(v) {
		return v
	}
	s, err := a.unmanagedGateway(ctx, v, func(string) {})
	if err != nil {
		return v
	}
	defer s.Close()
	// Keep the reason, because an agent that plays the gateway is
	// listener-foreign too.
	detail := fmt.Sprintf("unsupervised: pid %d of uid %d serves, and gateway-init did not start it", s.Key.PID, s.Key.UIDs[0])
	if v.code == exitNoSupervisor {
		v.detail += "; " + detail
		return v
	}
	v.detail, v.hint, v.unmanaged = detail, "gatewayctl adopt", true
	return v
}

// mayHaveUnmanaged reports whether our gateway is known not to be the one that
// serves. If we cannot identify our own gateway, we call none unmanaged.
func mayHaveUnmanaged(v view) bool {
	return !v.serving && (v.reason == reason.ListenerForeign || v.reason == reason.NotRunning ||
		v.code == exitNoSupervisor || v.record != nil && v.pid == 0)
}

// anyoneElse reports whether we are neither root nor the supervisor's user.
func (a *app) anyoneElse() bool { return a.euid != 0 && a.euid != int(a.owner) }
