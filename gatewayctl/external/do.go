// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"

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

// Do carries out a request. If only the supervisor can do it, Do asks the supervisor, as
// its user, and then proves the result. The answer of that user is not believed. A
// result has notes even if the error is not nil.
func (c *Controller) Do(ctx context.Context, r control.Request) (Result, error) {
	c.since, c.token, c.result = 0, "", Result{}
	old, started, err := c.carryOut(ctx, r)
	reply := &c.result.Reply
	reply.OldPID, reply.NewPID = old.PID, started.PID
	switch {
	case r.Action == control.Stop:
		reply.Outcome = control.Stopped
	case r.Action != control.Probe && old == started:
		reply.Outcome = control.AlreadyRunning
	}
	return c.result, c.fail(err)
}

func (c *Controller) carryOut(ctx context.Context, r control.Request) (old, started procfs.ID, err error) {
	if r.Action == control.Stop {
		old.PID, err = c.stopGateway(ctx, r)
		return old, started, err
	}
	if r.Action != control.Probe {
		done, err := c.begin(ctx)
		if err != nil {
			return old, started, err
		}
		defer done()
	}
	c.enter("proving the gateway")
	g, err := c.FindGateway(ctx)
	if g != nil {
		defer g.Close()
	}
	idle := errors.Is(err, ErrIdle)
	switch {
	case err != nil && (!idle || r.Action == control.Probe || r.Action == control.Reload):
		return old, started, err
	case r.Action == control.Reload:
		return old, g.ID(), c.reload(ctx, g)
	case r.Action == control.Probe:
		return old, g.ID(), c.serves(ctx, g, proof.Prove)
	case idle || r.Action == control.Start || r.Rotate || r.Drain > 0: // there is no process to signal, or only the supervisor can do it
		return c.viaSupervisor(ctx, r, g)
	case r.Action == control.Recover:
		if lost, err := c.mustReplace(ctx, g); !lost {
			return g.ID(), g.ID(), err
		}
	case r.Action != control.Restart:
		return old, started, fmt.Errorf("cannot %s from outside", r.Action)
	}
	started, err = c.replace(ctx, g)
	return g.ID(), started, err
}

// viaSupervisor makes the supervisor start a gateway. started is one that serves now
// and, for a restart, is not g, which may be nil. With r.Rotate it must have another
// token than g. If there was no g to compare with, a note says so.
func (c *Controller) viaSupervisor(ctx context.Context, r control.Request, g *procfs.Held) (old, started procfs.ID, err error) {
	var former procfs.ID // stands for no process
	if g != nil {
		old = g.ID()
		if r.Rotate {
			_, _ = c.judgeListeners(ctx, g) // sets c.token
		}
	}
	if r.Action == control.Restart {
		c.since = sys.BootTicks()
		if g != nil {
			former = old
		}
	}
	c.enter("asking the supervisor")
	if err := c.request(ctx, r); err != nil {
		return old, started, err
	}
	token := c.token
	if started, err = c.await(ctx, former); err == nil && r.Rotate {
		err = c.rotated(token)
	}
	return old, started, err
}

// rotated compares the token of the gateway that was judged last with old, the
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

// stopGateway also stops a gateway that cannot be proved; then old is Unknown. A stop is
// reported only after there is no gateway. It does not wait for other controllers, so
// that it can cut short a drain that one of them has asked for.
func (c *Controller) stopGateway(ctx context.Context, r control.Request) (old int, err error) {
	c.enter("proving the gateway")
	g, err := c.FindGateway(ctx)
	switch {
	case err == nil:
		defer g.Close()
		old = g.PID
	case !errors.Is(err, ErrIdle):
		old = Unknown
	}
	c.enter("asking the supervisor")
	if err := c.request(ctx, r); err != nil {
		return old, err
	}
	if g != nil && !g.IsReaped() { // it must be gone, whatever it looks like now
		return old, errStillAlive(old)
	}
	c.enter("proving that there is no gateway")
	now, err := c.FindGateway(ctx)
	switch {
	case errors.Is(err, ErrIdle):
		return old, nil
	case err == nil:
		now.Close()
		err = errStillAlive(now.PID)
	}
	return old, err
}

func errStillAlive(pid int) error {
	return fmt.Errorf("the supervisor says that it has stopped, and pid %d is there", pid)
}
