package controller

import (
	"context"
	"errors"
	"slices"

	"gatewayinit/internal/sys"
	"gatewayinit/supervisor/prockey"
	"gatewayinit/supervisor/proof"
)

// Stop ends it by pidfd, and then those below it that still have the port open.
// Who has taken the port since is not ended: it may be our own gateway.
func (s *Stranger) Stop(ctx context.Context) error {
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

func (c *Controller) stopHolder(ctx context.Context, p proof.Process) error {
	for try := 0; ; try++ {
		now, err := c.holders(ctx)
		if err != nil || !slices.Contains(now, p) {
			return err
		}
		proc, k, err := held(p)
		if err == nil {
			err = c.stop(ctx, proc, k)
			proc.Close()
		}
		// It may end by itself meanwhile, and has another parent then for a moment.
		if err == nil || try == tries || unlessGone(err) != nil {
			return err
		}
	}
}

// Below tells whether k is the gateway or descends from it; a gateway of 0 is
// none. What cannot be seen, or has too many ancestors, is taken for one: then
// nothing is ended.
func Below(k prockey.Key, gateway int) bool {
	if gateway == 0 {
		return false
	}
	return proof.Below(k.PID, gateway)
}

// Adopt is for a supervisor without root: start asks it to put a gateway of its
// own in the stranger's place, and what it does is proved. Where ours serves by
// now, old is started.
func (c *Controller) Adopt(ctx context.Context, start func(context.Context) error) (old, started int, err error) {
	done, err := c.begin(ctx)
	if err != nil {
		return 0, 0, c.fail(err)
	}
	defer done()
	c.enter("proving the gateway")
	gateway, why := 0, error(nil)
	switch g, err := c.Gateway(ctx); { // another controller may have been at work
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
	ours := func(k prockey.Key) bool { return c.Supervisor.Owns(k) || Below(k, gateway) }
	s, err := FindStranger(ctx, c.Settings, ours, c.say)
	if why != nil && (errors.Is(err, ErrOurs) || errors.Is(err, ErrNobody)) { // ours is not to be ended, and this is what it lacks
		err = c.fail(why)
	}
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	old = s.Key.PID
	if gateway == 0 { // or it may be the one that serves when the port is free
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
