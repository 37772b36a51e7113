package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"gatewayinit/gatewayctl/controller"
	"gatewayinit/supervisor/control"
	"gatewayinit/supervisor/prockey"
)

// lookTimeout bounds one look of a controller's.
const lookTimeout = 10 * time.Second

// controls tells whether we are root beside a supervisor that is not: nothing of
// root's was left by one, and one without root is there, or several that might
// be. A supervisor of root's that has not left anything yet is waited for
// instead, and without it refused. While the engine starts PID 1 it becomes another
// program under our eyes: that tells nothing, and we look again.
func (a *app) controls() bool {
	if a.euid != 0 || a.runtimeDir != "" {
		return false
	}
	for until := time.Now().Add(a.patience); ; time.Sleep(ownEvery) {
		if a.owner == 0 {
			dir, err := a.openRuntime()
			if err == nil {
				dir.Close()
				return false
			}
			// What is there and not root's proves nothing either way: the agent may
			// have put it there.
		}
		err := a.seek()
		if !errors.Is(err, prockey.ErrChanged) || time.Now().After(until) {
			return !errors.Is(err, controller.ErrNone) && !errors.Is(err, controller.ErrUnproven)
		}
	}
}

// seek is nil if there is one supervisor without root.
func (a *app) seek() error {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	s, err := a.find(ctx)
	if err == nil {
		s.Close()
	}
	return err
}

// controller is one for a command whose deadline is ctx's.
func (a *app) controller(ctx context.Context, say func(string)) (*controller.Controller, error) {
	c, err := a.config()
	if err != nil {
		return nil, &controller.Failure{Stage: "reading the configuration", Reason: control.UnsafeConfig, Err: err}
	}
	return controller.New(ctx, controller.FromConfig(c), say)
}

// command does as a controller what a request asks for. What only the supervisor
// can do is asked of it as its user, and then proved: only that is told.
func (a *app) command(ctx context.Context, r control.Request) int {
	show := a.stages(string(r.Action))
	reply, notes, err := a.carryOut(ctx, &r, show.stage)
	show.done()
	for _, note := range notes {
		fmt.Fprintf(a.err, "gatewayctl: note: %s\n", clean(note))
	}
	if err != nil {
		return a.controlFailed(string(r.Action), err)
	}
	return a.write(success(r, reply) + "\n")
}

// carryOut does r, which says afterwards what of it may be claimed.
func (a *app) carryOut(ctx context.Context, r *control.Request, say func(string)) (reply control.Reply, notes []string, err error) {
	c, err := a.controller(ctx, say)
	if err != nil {
		return reply, nil, err
	}
	defer c.Close()
	through := r.Action == control.Stop || r.Action == control.Start || r.Rotate || r.Drain > 0
	if !through {
		switch r.Action {
		case control.Probe:
			reply.NewPID, err = c.Prove(ctx)
		case control.Recover:
			reply.OldPID, reply.NewPID, err = c.Recover(ctx)
			if reply.NewPID == 0 {
				reply.NewPID = reply.OldPID
			}
		default:
			reply.OldPID, reply.NewPID, err = c.Restart(ctx)
		}
		// Without a process to signal the supervisor must start one.
		through = errors.Is(err, controller.ErrIdle) && reply.OldPID == 0 && r.Action != control.Probe
	}
	if through {
		reply.OldPID, reply.NewPID, err = c.Through(ctx, r.Action, r.Rotate, func(ctx context.Context) error { return a.asSupervisor(ctx, c, *r) })
		r.Rotate = r.Rotate && c.Renewed
	}
	notes = c.Notes
	switch {
	case err != nil:
	case r.Action == control.Stop:
		reply.Outcome = control.Stopped
	case r.Action != control.Probe && reply.OldPID == reply.NewPID:
		reply.Outcome = control.AlreadyRunning
	}
	return reply, notes, err
}

// controlFailed prints where a command came to nothing.
func (a *app) controlFailed(name string, err error) int {
	err = fmt.Errorf("cannot %s: %w", name, err)
	f := (*controller.Failure)(nil)
	var said exitCode
	switch {
	case errors.As(err, &said):
		if said == exitNoSupervisor { // root has proved that there is one
			fmt.Fprintln(a.err, "gatewayctl: hint: if its XDG_RUNTIME_DIR is not the container's, give that: docker exec -e XDG_RUNTIME_DIR=DIR ...")
			return exitFailed
		}
		return int(said)
	case errors.Is(err, controller.ErrNone):
		return a.fail(exitNoSupervisor, err, hintNoSupervisor)
	case errors.Is(err, controller.ErrOurs):
		return a.fail(exitRefused, err, "nothing was ended; status names the command and the sidecars: free the port in them")
	case errors.Is(err, context.DeadlineExceeded):
		return a.fail(exitDeadline, err, "see: gatewayctl status")
	case errors.Is(err, context.Canceled):
		return a.fail(exitFailed, err, "see: gatewayctl status")
	case errors.As(err, &f):
		return a.fail(exitFor(f.Reason), err, controlHint(f))
	}
	return a.fail(exitFailed, err, "")
}

// controlHint is advice for root, which PID 1's reason words do not have in mind.
func controlHint(f *controller.Failure) string {
	switch {
	case errors.Is(f, controller.ErrAmbiguous):
		return "where two processes are named waiting does not help: end the one that is not the real one, then try again"
	case errors.Is(f, os.ErrPermission), errors.Is(f, prockey.ErrNoPidfd):
		return "root's exec needs SETUID, SETGID, KILL and a kernel with pidfd here (docs/managed.md); or ask as the supervisor's user: docker exec -u UID CONTAINER /usr/local/bin/gatewayctl ..."
	}
	return adviceFor(f.Reason).next
}
