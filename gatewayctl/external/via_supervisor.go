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

// Unknown is the old pid that ViaSupervisor returns if the stopped gateway could
// not be proved.
const Unknown = -1

// ViaSupervisor makes the supervisor carry out an action that only it can do. ask
// sends the request as the supervisor's user. The answer of that user is not
// believed, so started is a gateway that serves now and, for a restart, is not
// the previous one. A stop is reported only after there is no gateway. A stop
// does not wait for other controllers, so that it can cut short a drain that one
// of them has asked for. With rotate the new gateway must have another token
// than the old one. If there was no old token to compare with, a note says so.
func (c *Controller) ViaSupervisor(ctx context.Context, action control.Action, rotate bool, ask func(context.Context) error) (old, started int, err error) {
	c.since, c.token = 0, ""
	if action == control.Stop {
		old, err = c.stopViaSupervisor(ctx, ask)
		return old, 0, err
	}
	done, err := c.begin(ctx)
	if err != nil {
		return 0, 0, c.fail(err)
	}
	defer done()
	c.enter("proving the gateway")
	before := procfs.Snapshot{} // stands for no process
	switch g, err := c.Gateway(ctx); {
	case err == nil:
		before = g.Key
		if rotate {
			_, _ = c.judge(ctx, g, proof.Job{Mode: proof.Health, Port: c.Port}) // sets c.token
		}
		g.Close()
	case !errors.Is(err, ErrIdle):
		return 0, 0, c.fail(err)
	}
	other := procfs.Snapshot{}
	if action == control.Restart {
		other = before
		c.since = sys.BootTicks()
	}
	c.enter("asking the supervisor")
	if err := ask(ctx); err != nil {
		return before.PID, 0, c.fail(err)
	}
	token := c.token
	if started, err = c.await(ctx, other); err == nil && rotate {
		err = c.rotated(token)
	}
	return before.PID, started, err
}

// rotated compares the token of the gateway that was judged last with old, the
// token of the gateway before.
func (c *Controller) rotated(old string) error {
	switch c.token {
	case "", old:
		return &Failure{c.stage, reason.TokenFailed, errors.New("the new gateway has the token of the old one")}
	}
	if c.Renewed = old != ""; !c.Renewed {
		c.Notes = append(c.Notes, "with a new token, as the supervisor says: there was no gateway whose token could be compared")
	}
	return nil
}

// stopViaSupervisor also stops a gateway that cannot be proved; then old is Unknown.
func (c *Controller) stopViaSupervisor(ctx context.Context, ask func(context.Context) error) (old int, err error) {
	c.enter("proving the gateway")
	g, err := c.Gateway(ctx)
	switch {
	case err == nil:
		defer g.Close()
		old = g.Key.PID
	case !errors.Is(err, ErrIdle):
		old = Unknown
	}
	c.enter("asking the supervisor")
	if err := ask(ctx); err != nil {
		return old, c.fail(err)
	}
	if g != nil { // it must be gone, whatever it looks like now
		if _, err := g.proc.Snapshot(); !errors.Is(err, procfs.ErrGone) {
			return old, c.fail(errStillAlive(old))
		}
	}
	return old, c.awaitIdle(ctx)
}

func errStillAlive(pid int) error {
	return fmt.Errorf("the supervisor says that it has stopped, and pid %d is there", pid)
}
