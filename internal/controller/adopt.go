package controller

import (
	"context"
	"slices"

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
	now, err := c.holders(ctx)
	if err != nil || !slices.Contains(now, p) {
		return err
	}
	proc, k, err := held(p)
	if err != nil {
		return unlessGone(err)
	}
	defer proc.Close()
	return c.stop(ctx, proc, k)
}

// Adopt is for a supervisor without root: start asks it to put a gateway of its
// own in the stranger's place, and what it does is proved.
func (c *Controller) Adopt(ctx context.Context, start func(context.Context) error) (old, started int, err error) {
	done, err := c.begin(ctx)
	if err != nil {
		return 0, 0, c.fail(err)
	}
	defer done()
	s, err := FindStranger(ctx, c.Settings, c.Supervisor.Owns, c.say)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	old = s.Key.PID
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
