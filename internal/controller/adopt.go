package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"gatewayinit/internal/prockey"
	"gatewayinit/internal/witness"
	"gatewayinit/supervisor/control"
	"gatewayinit/supervisor/proof"
)

// Bounds of a look for a stranger.
const (
	maxUsers  = 8  // groups that processes of one uid may have
	maxRounds = 16 // processes that hold one port, one after the other
)

// ErrNobody: nobody listens on the gateway's port.
var ErrNobody = errors.New("nobody listens there")

// Stranger is a process that serves on the gateway's port and was not started by
// a supervisor here.
type Stranger struct {
	Key  prockey.Key
	proc *prockey.Proc
	c    *Controller // of its user; its supervisor is nil
}

// FindStranger proves who serves on the port: all its listeners are one user's,
// one process (or its children) has them open, and it answers as a gateway does.
// Ours tells which processes are a supervisor's own. ErrNobody: the port is free.
// The caller must Close it.
func FindStranger(ctx context.Context, s Settings, ours func(pid int) bool, say func(stage string)) (*Stranger, error) {
	c := &Controller{Settings: s, say: say}
	c.enter("looking who listens on the gateway's port")
	uid, err := c.owner()
	if err != nil {
		return nil, c.fail(err)
	}
	gids, err := groupsOf(ctx, uid)
	if err != nil {
		return nil, c.fail(err)
	}
	err = fmt.Errorf("%w: no process of uid %d has the port open", ErrAmbiguous, uid)
	for _, gid := range gids {
		var found *Stranger
		if found, err = c.stranger(ctx, uid, gid, ours); found != nil {
			return found, nil
		}
		if err != nil {
			break
		}
		err = fmt.Errorf("%w: no process of uid %d has the port open", ErrAmbiguous, uid)
	}
	return nil, c.fail(err)
}

// owner is the one user that listens on the port.
func (c *Controller) owner() (uint32, error) {
	ls, err := proof.Listeners(c.Port)
	switch {
	case err != nil:
		return 0, err
	case len(ls) == 0:
		return 0, ErrNobody
	}
	for _, l := range ls {
		if l.UID != ls[0].UID {
			return 0, fmt.Errorf("%w: uid %d and uid %d both listen on port %d", ErrAmbiguous, ls[0].UID, l.UID, c.Port)
		}
	}
	return ls[0].UID, nil
}

// groupsOf are the groups that processes of uid have: only one with the same
// group may look at a process.
func groupsOf(ctx context.Context, uid uint32) (gids []uint32, err error) {
	err = prockey.Scan(maxProcesses, func(pid int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		st, err := prockey.ReadStatus(pid)
		if err == nil && st.UIDs[0] == uid && !slices.Contains(gids, st.GIDs[0]) {
			gids = append(gids, st.GIDs[0])
		}
		if len(gids) > maxUsers {
			return fmt.Errorf("%w: processes of uid %d are of more than %d groups", ErrAmbiguous, uid, maxUsers)
		}
		return unlessGone(err)
	})
	return gids, err
}

// stranger is nil if no process of that user and group has the port open.
func (c *Controller) stranger(ctx context.Context, uid, gid uint32, ours func(pid int) bool) (_ *Stranger, err error) {
	eyes, err := witness.Start(ctx, uid, gid, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			eyes.Close()
		}
	}()
	w := &Controller{Settings: c.Settings, say: c.say, stage: c.stage, eyes: eyes}
	top, err := w.top(ctx)
	if err != nil || top == nil {
		if top == nil && err == nil {
			eyes.Close()
		}
		return nil, err
	}
	if k := top.Key; k.PID == 1 || k.PID == os.Getpid() || ours(k.PID) {
		top.Close()
		return nil, fmt.Errorf("pid %d is no stranger", k.PID)
	}
	w.enter(fmt.Sprintf("proving pid %d", top.Key.PID))
	if err := w.healthy(ctx, top); err != nil {
		top.Close()
		return nil, err
	}
	return &Stranger{top.Key, top.proc, w}, nil
}

// top is the process above all that have the port open, held; nil: there is none.
func (c *Controller) top(ctx context.Context) (*Gateway, error) {
	a, err := c.eyes.Ask(ctx, witness.Question{Holders: &witness.Holders{Port: c.Port}})
	if err != nil {
		return nil, err
	}
	var top *Gateway
	for _, p := range a.Processes {
		proc, err := prockey.Open(p.PID)
		if errors.Is(err, prockey.ErrGone) {
			continue
		}
		if err != nil {
			if top != nil {
				top.Close()
			}
			return nil, err
		}
		k, err := proc.Read()
		below := err == nil && slices.ContainsFunc(a.Processes, func(other proof.Process) bool { return other.PID == k.PPID })
		switch {
		case err == nil && !below && top != nil:
			err = fmt.Errorf("%w: pid %d and pid %d both have the port open", ErrAmbiguous, top.Key.PID, k.PID)
		case err == nil && k.Start != p.StartTicks:
			err = fmt.Errorf("%w: pid %d", ErrChanged, p.PID)
		case err == nil && !below:
			top = &Gateway{k, proc}
			continue
		}
		proc.Close()
		if err != nil {
			if top != nil {
				top.Close()
			}
			return nil, err
		}
	}
	return top, nil
}

func (c *Controller) healthy(ctx context.Context, g *Gateway) error {
	job := proof.Job{Mode: proof.Health, Port: c.Port, Check: c.Ready, Deadline: c.Health.Timeout}
	a, err := c.eyes.Ask(ctx, witness.Question{Judge: &witness.Judge{Gateway: g.process(), Job: job}})
	switch {
	case err != nil:
		return err
	case a.Elsewhere:
		return fmt.Errorf("%w: pid %d has another network namespace", ErrAmbiguous, g.Key.PID)
	}
	return c.Verdict(a)
}

// Close lets go of it.
func (s *Stranger) Close() {
	s.proc.Close()
	s.c.eyes.Close()
}

// Stop ends it by pidfd, and what else it left behind with the port open, until
// the port is free.
func (s *Stranger) Stop(ctx context.Context) error {
	if err := s.c.stop(ctx, s.proc, s.Key); err != nil {
		return s.c.fail(err)
	}
	for range maxRounds {
		if _, err := s.c.owner(); errors.Is(err, ErrNobody) {
			return nil
		} else if err != nil {
			return s.c.fail(err)
		}
		left, err := s.c.top(ctx)
		if err != nil {
			return s.c.fail(err)
		}
		if left == nil { // closed between the two looks, or not its user's any more
			continue
		}
		err = s.c.stop(ctx, left.proc, left.Key)
		left.Close()
		if err != nil {
			return s.c.fail(err)
		}
	}
	return &Failure{s.c.stage, control.ListenerForeign, fmt.Errorf("port %d is taken again and again", s.c.Port)}
}

// Adopt is for a supervisor without root: start asks it to put a gateway of its
// own in the stranger's place, and what it does is proved.
func (c *Controller) Adopt(ctx context.Context, s *Stranger, start func(context.Context) error) (started int, err error) {
	done, err := c.begin(ctx)
	if err != nil {
		return 0, c.fail(err)
	}
	defer done()
	if err := s.Stop(ctx); err != nil {
		return 0, err
	}
	c.enter("asking the supervisor to start its own")
	if err := start(ctx); err != nil {
		return 0, c.fail(err)
	}
	return c.await(ctx, s.Key)
}
