package controller

import (
	"context"
	"errors"

	"gatewayinit/internal/prockey"
	"gatewayinit/supervisor/control"
)

// Through has the supervisor do what only it can: ask puts the request to it, as
// its user. What that user answers is not believed: started is a gateway that
// serves now and, for a restart, is not the one that was there before. Of a stop
// nothing is claimed before there is no gateway.
func (c *Controller) Through(ctx context.Context, action control.Action, ask func(context.Context) error) (old, started int, err error) {
	done, err := c.begin(ctx)
	if err != nil {
		return 0, 0, c.fail(err)
	}
	defer done()
	c.enter("proving the gateway")
	before := prockey.Key{} // of nobody
	switch g, err := c.Gateway(ctx); {
	case err == nil:
		before = g.Key
		g.Close()
	case !errors.Is(err, ErrIdle) && action != control.Stop: // a stop ends what cannot be proved, too
		return 0, 0, c.fail(err)
	}
	c.enter("asking the supervisor")
	if err := ask(ctx); err != nil {
		return before.PID, 0, c.fail(err)
	}
	switch action {
	case control.Stop:
		return before.PID, 0, c.idle(ctx)
	case control.Restart:
		started, err = c.await(ctx, before)
	default:
		started, err = c.await(ctx, prockey.Key{})
	}
	return before.PID, started, err
}
