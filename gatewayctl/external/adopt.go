// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"slices"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Stop ends the unmanaged gateway by pidfd, and then those of its children that
// still have the port open. A process that has taken the port since is not ended,
// because it may be our own gateway.
func (s *Unmanaged) Stop(ctx context.Context) error {
	if err := s.c.stop(ctx, s.proc, s.Key); err != nil {
		return s.c.fail(err)
	}
	for _, p := range s.below {
		if err := s.c.stopHolder(ctx, p); err != nil {
			return s.c.fail(err)
		}
	}
	return nil
}

func (c *Controller) stopHolder(ctx context.Context, p procfs.ID) error {
	for try := 0; ; try++ {
		now, err := c.holders(ctx)
		if err != nil || !slices.Contains(now, p) {
			return err
		}
		proc, k, err := openProcess(p)
		if err == nil {
			err = c.stop(ctx, proc, k)
			proc.Close()
		}
		// p may end by itself meanwhile, and then has another parent for a
		// moment.
		if err == nil || try == tries || ignoreGone(err) != nil {
			return err
		}
	}
}

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
// starts. start asks the supervisor to start it, and the result is proved. If our
// gateway serves by now, old equals started.
func (c *Controller) Adopt(ctx context.Context, start func(context.Context) error) (old, started int, err error) {
	done, err := c.begin(ctx)
	if err != nil {
		return 0, 0, c.fail(err)
	}
	defer done()
	c.enter("proving the gateway")
	gateway, why := 0, error(nil)
	switch g, err := c.Gateway(ctx); { // another controller may have started it
	case err == nil:
		defer g.Close()
		gateway = g.Key.PID
		var pid int
		if pid, why = c.serves(ctx, g, proof.Prove); why == nil {
			return pid, pid, nil
		}
	case !errors.Is(err, ErrIdle):
		return 0, 0, c.fail(err)
	}
	ours := func(k procfs.Snapshot) bool { return c.Supervisor.Owns(k) || Below(k, gateway) }
	s, err := FindUnmanaged(ctx, c.Settings, ours, c.say)
	if why != nil && (errors.Is(err, ErrOurs) || errors.Is(err, ErrNoUnmanaged)) { // our gateway must not be ended, so report why it does not serve
		err = c.fail(why)
	}
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	old = s.Key.PID
	if gateway == 0 { // otherwise our gateway may serve once the port is free
		c.since = sys.BootTicks()
	}
	if err := s.Stop(ctx); err != nil {
		return old, 0, err
	}
	c.enter("asking the supervisor to start its own")
	if err := start(ctx); err != nil {
		return old, 0, c.fail(err)
	}
	started, err = c.await(ctx, s.Key)
	return old, started, err
}
