// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/stepdown"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// lookTimeout bounds one look.
const lookTimeout = 10 * time.Second

// controls reports whether we are root beside a supervisor that does not run as
// root. That is so if no root supervisor has left files, and there is one
// supervisor without root, or there are several processes that might be one. A root
// supervisor that has not left files yet is waited for instead; without it the
// command is refused. During our look PID 1 may execute another program, because
// the engine is still starting it. Such a look says nothing, and we look again.
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
			// Files that root does not own prove nothing either way, because the
			// agent may have put them there.
		}
		err := a.seek()
		if !errors.Is(err, procfs.ErrChanged) || time.Now().After(until) {
			return !errors.Is(err, external.ErrNone) && !errors.Is(err, external.ErrUnproven)
		}
	}
}

// seek returns nil if there is one supervisor without root.
func (a *app) seek() error {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	s, err := a.find(ctx)
	if err == nil {
		s.Close()
	}
	return err
}

// controller returns a Controller for a command with the deadline of ctx.
func (a *app) controller(ctx context.Context, say func(string)) (*external.Controller, error) {
	c, err := a.config()
	if err != nil {
		return nil, &external.Failure{Stage: "reading the configuration", Reason: reason.UnsafeConfig, Err: err}
	}
	return external.New(ctx, external.FromConfig(c), say)
}

// command carries out a request as a controller. If only the supervisor can do
// it, command asks the supervisor as its user and then proves the result. It
// reports only the proved result.
func (a *app) command(ctx context.Context, r control.Request) int {
	show := a.stages(string(r.Action))
	reply, notes, err := a.carryOut(ctx, &r, show.stage)
	show.done()
	for _, note := range notes {
		fmt.Fprintf(a.err, "gatewayctl: note: %s\n", clean(note))
	}
	if err != nil {
		return a.externalFailed(string(r.Action), err)
	}
	return a.write(success(r, reply) + "\n")
}

// carryOut carries out r. It clears r.Rotate unless the token was renewed.
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
		// There is no process to signal, so the supervisor must start one.
		through = errors.Is(err, external.ErrIdle) && reply.OldPID == 0 && r.Action != control.Probe
	}
	if through {
		reply.OldPID, reply.NewPID, err = c.ViaSupervisor(ctx, r.Action, r.Rotate, func(ctx context.Context) error { return a.asSupervisor(ctx, c, *r) })
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

// externalFailed prints at which step a command failed, and returns the exit
// code.
func (a *app) externalFailed(name string, err error) int {
	err = fmt.Errorf("cannot %s: %w", name, err)
	f := (*external.Failure)(nil)
	var said stepdown.ExitError
	switch {
	case errors.As(err, &said):
		if said == exitNoSupervisor { // root has proved that there is one
			fmt.Fprintln(a.err, "gatewayctl: hint: if its XDG_RUNTIME_DIR is not the container's, give that: docker exec -e XDG_RUNTIME_DIR=DIR ...")
			return exitFailed
		}
		return int(said)
	case errors.Is(err, external.ErrNone):
		return a.fail(exitNoSupervisor, err, hintNoSupervisor)
	case errors.Is(err, external.ErrOurs):
		return a.fail(exitRefused, err, "nothing was ended; status names the command and the sidecars: free the port in them")
	case errors.Is(err, context.DeadlineExceeded):
		return a.fail(exitDeadline, err, "see: gatewayctl status")
	case errors.Is(err, context.Canceled):
		return a.fail(exitFailed, err, "see: gatewayctl status")
	case errors.As(err, &f):
		return a.fail(f.Reason.ExitCode(), err, externalHint(f))
	}
	return a.fail(exitFailed, err, "")
}

// externalHint returns advice for root. The advice for PID 1's reason words does
// not have root in mind.
func externalHint(f *external.Failure) string {
	switch {
	case errors.Is(f, external.ErrAmbiguous):
		return "where two processes are named waiting does not help: end the one that is not the real one, then try again"
	case errors.Is(f, os.ErrPermission), errors.Is(f, procfs.ErrNoPidfd):
		return "root's exec needs SETUID, SETGID, KILL and a kernel with pidfd here (docs/managed.md); or ask as the supervisor's user: docker exec -u UID CONTAINER /usr/local/bin/gatewayctl ..."
	}
	return f.Reason.Next()
}
