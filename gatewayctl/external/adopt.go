// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Below reports whether k is the gateway or descends from it; a gateway of 0 is
// none. A process that cannot be seen, or has too many ancestors, counts as one
// that does, so that nothing is ended.
func Below(k procfs.Snapshot, gateway int) bool {
	if gateway == 0 {
		return false
	}
	return procfs.IsRelated(k.PID, gateway)
}

// Adopt replaces an unmanaged gateway with one that a supervisor without root
// starts, and proves the result. If our gateway serves by now, old equals started.
func (c *Controller) Adopt(ctx context.Context) (old, started procfs.ID, err error) {
	old, started, err = c.adopt(ctx)
	return old, started, c.fail(err)
}

func (c *Controller) adopt(ctx context.Context) (old, started procfs.ID, err error) {
	done, err := c.begin(ctx)
	if err != nil {
		return old, started, err
	}
	defer done()
	c.enter("proving the gateway")
	gateway, why := 0, error(nil)
	switch g, err := c.FindGateway(ctx); { // another controller may have started it
	case err == nil:
		defer g.Close()
		gateway = g.PID
		if why = c.serves(ctx, g, proof.Prove); why == nil {
			return g.ID(), g.ID(), nil
		}
		why = c.fail(why)
	case !errors.Is(err, ErrIdle):
		return old, started, err
	}
	ours := func(k procfs.Snapshot) bool { return c.Supervisor.Owns(k) || Below(k, gateway) }
	s, err := FindUnmanaged(ctx, c.Gateway, ours, c.say)
	if why != nil && (errors.Is(err, ErrOurs) || errors.Is(err, ErrNoUnmanaged)) { // our gateway must not be ended, so report why it does not serve
		err = why
	}
	if err != nil {
		return old, started, err
	}
	defer s.Close()
	if gateway == 0 { // otherwise our gateway may serve once the port is free
		c.since = sys.BootTicks()
	}
	if err := s.Stop(ctx); err != nil {
		return s.ID(), started, err
	}
	_, started, err = c.viaSupervisor(ctx, control.Request{Action: control.Recover}, nil)
	return s.ID(), started, err
}
