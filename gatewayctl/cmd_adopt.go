package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"time"

	"gatewayinit/internal/controller"
	"gatewayinit/internal/status"
	"gatewayinit/supervisor/control"
)

func cmdAdopt() verb {
	return verb{
		name: "adopt", args: "[--timeout D]", summary: "put our gateway in the place of one that nobody here started",
		help: `For a gateway that somebody started by hand (status says unsupervised): proves
which process has the port open and that it answers as a gateway does, ends it,
starts our own and proves that.

  --timeout D   wait at most this long for all of it (default 120s)

Exit code: 0 ours serves and is proven, 1 failed, 3 refused, 4 not serving,
5 no supervisor that could start one (then nothing is ended), 6 the deadline
passed.
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
	ctx, cancel := interruptible()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	v := a.look()
	switch {
	case v.serving:
		return a.write(fmt.Sprintf("already ours: pid %d, proven\n", v.pid))
	case !mayHaveStranger(v) || v.code != exitNotServing:
		return a.fail(v.code, fmt.Errorf("cannot adopt: %s: %s", v.reason, v.detail), v.hint)
	}
	show := a.stages("adopt")
	var c *controller.Controller
	if a.control { // who the supervisor is comes first: without it nothing is a stranger
		var err error
		if c, err = a.controller(ctx, show.stage); err != nil {
			show.done()
			return a.controlFailed("adopt", err)
		}
		defer c.Close()
	}
	stranger, err := a.stranger(ctx, v, show.stage)
	if err != nil {
		show.done()
		if errors.Is(err, controller.ErrNobody) {
			return a.fail(exitNotServing, fmt.Errorf("cannot adopt: there is no gateway to take over: %w", err), "gatewayctl recover")
		}
		return a.controlFailed("adopt", err)
	}
	defer stranger.Close()
	if c != nil {
		var started int
		if started, err = c.Adopt(ctx, stranger, func(ctx context.Context) error { return a.recoverAsUser(ctx, c) }); err == nil {
			show.done()
			return a.write(fmt.Sprintf("adopted: pid %d → %d, proven\n", stranger.Key.PID, started))
		}
	} else if err = stranger.Stop(ctx); err == nil {
		show.done()
		deadline, _ := ctx.Deadline()
		return a.ask(control.Request{Action: control.Recover}, time.Until(deadline))
	}
	show.done()
	return a.controlFailed("adopt", err)
}

// stranger is who serves on the gateway's port without being one of v's
// processes.
func (a *app) stranger(ctx context.Context, v view, say func(string)) (*controller.Stranger, error) {
	c, err := a.config()
	if err != nil {
		return nil, &controller.Failure{Stage: "reading the configuration", Reason: control.UnsafeConfig, Err: err}
	}
	ours := []int{v.pid}
	if r := v.record; r != nil {
		ours = append(ours, r.Init.PID)
		for _, child := range append(r.Sidecars, deref(r.Command)) {
			ours = append(ours, child.PID)
		}
	}
	return a.strange(ctx, controller.FromConfig(c), func(pid int) bool { return slices.Contains(ours, pid) }, say)
}

func deref(c *status.Child) status.Child {
	if c == nil {
		return status.Child{}
	}
	return *c
}

// unsupervised adds to a look whether a gateway that nobody here started serves
// in the place of ours.
func (a *app) unsupervised(v view) view {
	if a.anyoneElse() || !mayHaveStranger(v) {
		return v
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	s, err := a.stranger(ctx, v, func(string) {})
	if err != nil {
		return v
	}
	defer s.Close()
	// The reason stays: an agent that plays the gateway is listener-foreign too.
	detail := fmt.Sprintf("unsupervised: pid %d of uid %d serves, and nobody here started it", s.Key.PID, s.Key.UIDs[0])
	if v.code == exitNoSupervisor {
		v.detail += "; " + detail
		return v
	}
	v.detail, v.hint = detail, "gatewayctl adopt"
	return v
}

// mayHaveStranger tells whether ours is known not to be the one that serves.
// Where it is not known who ours is, nobody is a stranger.
func mayHaveStranger(v view) bool {
	return !v.serving && (v.reason == string(control.ListenerForeign) || v.reason == string(control.NotRunning) ||
		v.code == exitNoSupervisor || v.record != nil && v.pid == 0)
}

// anyoneElse tells whether we are neither root nor the supervisor's user.
func (a *app) anyoneElse() bool { return a.euid != 0 && a.euid != int(a.owner) }
