// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Unknown is the old pid of a Result if the stopped gateway could not be proved.
const Unknown = -1

// Result is the proved result of a request.
type Result struct {
	control.Reply
	Notes   []string // remarks on missing parts of the result
	Renewed bool     // the gateway has another token than the previous one
}

// Do carries out a request. If only the supervisor can do it, Do asks the supervisor, and
// then proves the result. A result has notes even if the error is not nil.
func (c *Controller) Do(ctx context.Context, r control.Request) (Result, error) {
	c.since, c.token, c.result = 0, "", Result{}
	err := c.carryOut(ctx, r)
	return c.result, c.fail(err)
}

func (c *Controller) carryOut(ctx context.Context, r control.Request) error {
	if r.Action == control.Stop {
		return c.stopGateway(ctx, r)
	}
	if r.Action != control.Probe {
		done, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		defer done()
	}
	c.enter("proving the gateway")
	g, err := c.FindGateway(ctx)
	if g != nil {
		defer g.Close()
		c.result.OldPID = g.PID
	}
	idle := errors.Is(err, ErrIdle)
	switch {
	case err != nil && (!idle || r.Action == control.Probe || r.Action == control.Reload):
		return err
	case r.Action == control.Reload, r.Action == control.Probe:
		c.result.OldPID, c.result.NewPID = 0, g.PID
		if r.Action == control.Reload {
			return c.reload(ctx, g)
		}
		return c.serves(ctx, g, proof.Prove)
	case idle || r.Action == control.Start || r.Rotate || r.Drain > 0: // there is no process to signal, or only the supervisor can do it
		return c.viaSupervisor(ctx, r, g)
	case r.Action == control.Recover:
		if lost, err := c.mustReplace(ctx, g); !lost {
			c.result.NewPID, c.result.Outcome = g.PID, control.AlreadyRunning
			return err
		}
	case r.Action != control.Restart:
		return fmt.Errorf("cannot %s from outside", r.Action)
	}
	return c.replace(ctx, g)
}

// Start asks the supervisor for a gateway if there is none, and proves the new one, which
// must not be older than since, in clock ticks. Our turn must have begun (Begin).
func (c *Controller) Start(ctx context.Context, since uint64) (Result, error) {
	c.since = since
	err := c.viaSupervisor(ctx, control.Request{Action: control.Recover}, nil)
	return c.result, c.fail(err)
}

// viaSupervisor makes the supervisor start a gateway, and proves one that, after a
// restart, is younger than g, which may be nil. With r.Rotate it must have another token
// than g. If there was no g to compare with, a note says so.
func (c *Controller) viaSupervisor(ctx context.Context, r control.Request, g *procfs.Held) error {
	var old procfs.ID // stands for no process
	if g != nil {
		old = g.ID()
	}
	if r.Action == control.Restart {
		c.since = max(sys.BootTicks(), old.Start+1)
	}
	token := c.token
	if err := c.ask(ctx, r); err != nil {
		return err
	}
	started, err := c.await(ctx)
	if err == nil && started == old {
		c.result.Outcome = control.AlreadyRunning
	}
	if err == nil && r.Rotate {
		err = c.rotated(token)
	}
	return err
}

// ask sends a request as the supervisor's user. Success is only that user's answer.
func (c *Controller) ask(ctx context.Context, r control.Request) error {
	c.enter("asking the supervisor")
	drain := time.Duration(r.Drain) * time.Second
	if deadline, ok := ctx.Deadline(); ok && drain > 0 && time.Until(deadline) <= drain { // other commands took the time
		return fmt.Errorf("%w: %v is left, and the drain may take %v", context.DeadlineExceeded, max(time.Until(deadline), 0).Round(time.Millisecond), drain)
	}
	return c.Request(ctx, r)
}

// rotated compares the token of the gateway that was found last with old, the
// token of the gateway before.
func (c *Controller) rotated(old string) error {
	switch c.token {
	case "", old:
		return &Failure{c.stage, reason.TokenFailed, errors.New("the new gateway has the token of the old one")}
	}
	if c.result.Renewed = old != ""; !c.result.Renewed {
		c.note("with a new token, as the supervisor says: there was no gateway whose token could be compared")
	}
	return nil
}

func (c *Controller) note(format string, args ...any) {
	c.result.Notes = append(c.result.Notes, fmt.Sprintf(format, args...))
}

// stopGateway also stops a gateway that cannot be proved. A stop is reported only after
// there is no gateway. It does not wait for other controllers, so that it can cut short a
// drain that one of them has asked for.
func (c *Controller) stopGateway(ctx context.Context, r control.Request) error {
	c.result.Outcome = control.Stopped
	c.enter("proving the gateway")
	g, err := c.FindGateway(ctx)
	switch {
	case err == nil:
		defer g.Close()
		c.result.OldPID = g.PID
	case !errors.Is(err, ErrIdle):
		c.result.OldPID = Unknown
	}
	if err := c.ask(ctx, r); err != nil {
		return err
	}
	if g != nil && !g.IsReaped() { // it must be gone, whatever it looks like now
		return errStillAlive(g.PID)
	}
	c.enter("proving that there is no gateway")
	now, err := c.FindGateway(ctx)
	switch {
	case errors.Is(err, ErrIdle):
		return nil
	case err == nil:
		now.Close()
		err = errStillAlive(now.PID)
	}
	return err
}

func errStillAlive(pid int) error {
	return fmt.Errorf("the supervisor says that it has stopped, and pid %d is there", pid)
}

// reload sends the gateway its reload signal by pidfd, if it serves, and proves it again. A
// gateway that starts has no handler yet, and would end.
func (c *Controller) reload(ctx context.Context, g *procfs.Held) error {
	if c.Reload == 0 {
		return &Failure{c.stage, reason.NoReload, errors.New(reason.NoReload.Text())}
	}
	if err := c.serves(ctx, g, proof.Prove); err != nil {
		return err
	}
	fd, err := g.Pidfd()
	if err != nil {
		return err
	}
	defer fd.Close()
	c.enter(fmt.Sprintf("signalling pid %d", g.PID))
	if err := signal(fd, c.Reload); err != nil {
		return err
	}
	return c.serves(ctx, g, proof.Prove)
}
