// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"fmt"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/supervisor/exitauth"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// lookBefore is the pause before the second proof, because the processes that the former
// gateway started in its last 20 ms are being swept meanwhile.
const lookBefore = 20 * time.Millisecond

// begin waits for our turn, which ends with done. It looks at nothing before that,
// because another controller's work makes an earlier proof outdated.
func (c *Controller) begin(ctx context.Context) (done func(), err error) {
	c.enter("waiting for other controllers")
	dir, why := openPlace(exitauth.Dirs())
	lock, err := newQueue(ctx, dir)
	if err != nil {
		dir.Close() // nil is not closed
		return nil, err
	}
	c.place, c.why = dir, why
	return func() {
		lock.Close()
		dir.Close()
	}, nil
}

// authorize authorizes the exit of g, which withdraw ends. If that is not possible, the
// supervisor takes the exit for an unrequested one, and starts the gateway again after
// its backoff.
func (c *Controller) authorize(g *procfs.Held) (withdraw func()) {
	err := c.why
	if c.place != nil {
		err = publish(c.place, g.ID())
	}
	if err != nil {
		c.note("the exit cannot be authorized, so it counts as a failure: %v", err)
	}
	return func() {
		if c.place != nil {
			_ = exitauth.Withdraw(c.place) // a file that stays there names processes that are gone
		}
	}
}

// replace ends g with its stop signal, and after its grace with SIGKILL, and waits until
// the supervisor has started another that serves. Anything that makes that impossible is
// found while g still serves.
func (c *Controller) replace(ctx context.Context, g *procfs.Held) (started procfs.ID, err error) {
	if err := c.checkPrepared(ctx, g); err != nil {
		return started, err
	}
	defer c.authorize(g)()
	if c.since, err = c.stop(ctx, g, &c.Gateway); err != nil {
		return started, err
	}
	if err := c.awaitReaped(ctx, g); err != nil {
		return started, err
	}
	return c.await(ctx, g.ID())
}

// awaitReaped waits until the supervisor has reaped g. The supervisor ends the processes
// that the gateway left behind before it starts another gateway, at once or after
// its backoff. Until then a leftover process may have the port, the token and the
// right answer. It may also be a child of the supervisor that leads a session. It
// differs from the next gateway only because it started before the end.
func (c *Controller) awaitReaped(ctx context.Context, g *procfs.Held) error {
	return poll(ctx, func() (bool, error) {
		if g.IsReaped() {
			return true, nil
		}
		return false, c.Supervisor.prove()
	})
}

// await waits for a gateway that is not the old one and serves. At the deadline
// its error says why the last one did not serve.
func (c *Controller) await(ctx context.Context, old procfs.ID) (found procfs.ID, err error) {
	c.enter("waiting for the new gateway")
	last := error(ErrIdle)
	err = poll(ctx, func() (bool, error) {
		found, err = c.lookForNew(ctx, old)
		if err != nil && ctx.Err() == nil {
			last = err
		}
		if found.PID != 0 || ctx.Err() != nil {
			return found.PID != 0, nil
		}
		return false, c.Supervisor.prove()
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), last)
	}
	return found, err
}

// lookForNew returns a gateway that serves and is not the old one, or pid 0. The new one
// may have the old one's pid.
func (c *Controller) lookForNew(ctx context.Context, old procfs.ID) (none procfs.ID, err error) {
	g, err := c.lookNow(ctx)
	if err != nil {
		return none, err
	}
	defer g.Close()
	if g.ID() == old {
		return none, nil
	}
	c.enter(fmt.Sprintf("proving pid %d", g.PID))
	if err := c.serves(ctx, g, proof.Prove); err != nil {
		return none, err
	}
	time.Sleep(lookBefore)
	if err := c.serves(ctx, g, proof.Health); err != nil {
		return none, err
	}
	return g.ID(), nil
}
