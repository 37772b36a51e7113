// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/gateway-init/gateway-init/gatewayctl/inspector"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Bounds of a search for an unmanaged gateway.
const (
	maxUsers   = 8  // groups that processes of one uid may have
	maxHolders = 64 // processes that have the port open
)

// Errors of FindUnmanaged if there is no unmanaged gateway.
var (
	ErrNoUnmanaged = errors.New("no process listens there")
	ErrOurs        = errors.New("gateway-init's own child has the port open")
)

// Unmanaged is a process that serves on the gateway's port and was not started by
// a supervisor here.
type Unmanaged struct {
	Key   procfs.Snapshot
	proc  *procfs.Handle
	below []procfs.ID // those of its children that have the port open too
	c     *Controller // a controller of its user, without a supervisor
}

// FindUnmanaged proves which process serves on the port. All listeners must belong
// to one user, one process (or its children) must have them open, and it must
// answer as a gateway does. ours reports whether a process must not be ended; if
// such a process has the port open, the error is ErrOurs. If the port is free, the
// error is ErrNoUnmanaged. The caller must Close the Unmanaged.
func FindUnmanaged(ctx context.Context, s Settings, ours func(procfs.Snapshot) bool, say func(stage string)) (*Unmanaged, error) {
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
	for _, gid := range gids {
		if found, err := c.findUnmanagedOf(ctx, uid, gid, ours); found != nil || err != nil {
			return found, c.fail(err)
		}
	}
	return nil, c.fail(fmt.Errorf("%w: no process of uid %d has the port open", ErrAmbiguous, uid))
}

// owner returns the one user that listens on the port.
func (c *Controller) owner() (uint32, error) {
	ls, err := sockets.Listeners(c.Port)
	switch {
	case err != nil:
		return 0, err
	case len(ls) == 0:
		return 0, ErrNoUnmanaged
	}
	for _, l := range ls {
		if l.UID != ls[0].UID {
			return 0, fmt.Errorf("%w: uid %d and uid %d both listen on port %d", ErrAmbiguous, ls[0].UID, l.UID, c.Port)
		}
	}
	return ls[0].UID, nil
}

// groupsOf returns the groups that processes of uid have, because only a process
// with the same group may look at a process.
func groupsOf(ctx context.Context, uid uint32) (gids []uint32, err error) {
	err = procfs.Each(maxProcesses, func(pid int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		st, err := procfs.ReadStatus(pid)
		if err == nil && st.UIDs[0] == uid && !slices.Contains(gids, st.GIDs[0]) {
			gids = append(gids, st.GIDs[0])
		}
		if len(gids) > maxUsers {
			return fmt.Errorf("%w: processes of uid %d are of more than %d groups", ErrAmbiguous, uid, maxUsers)
		}
		return ignoreGone(err)
	})
	return gids, err
}

// findUnmanagedOf returns the process of that user and group that serves on the
// port, or nil if none of their processes has the port open.
func (c *Controller) findUnmanagedOf(ctx context.Context, uid, gid uint32, ours func(procfs.Snapshot) bool) (_ *Unmanaged, err error) {
	eyes, err := inspector.Start(ctx, uid, gid, nil)
	if err != nil {
		return nil, err
	}
	w := &Controller{Settings: c.Settings, say: c.say, stage: c.stage, inspector: eyes}
	s, err := w.holding(ctx, ours)
	if s == nil || err != nil {
		eyes.Close()
		return nil, err
	}
	w.enter(fmt.Sprintf("proving pid %d", s.Key.PID))
	if err := w.healthy(ctx, &Gateway{s.Key, s.proc}); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// holders returns the processes of the inspector's user that have the port open.
func (c *Controller) holders(ctx context.Context) ([]procfs.ID, error) {
	a, err := c.inspector.Ask(ctx, inspector.Question{Holders: &inspector.Holders{Port: c.Port}})
	if err == nil && len(a.Processes) > maxHolders {
		err = fmt.Errorf("%w: more than %d processes have the port open", ErrAmbiguous, maxHolders)
	}
	return a.Processes, err
}

// holding returns the topmost process that has the port open, with the holders
// below it, or nil if no process has it open. It returns ErrOurs if one of them is
// ours.
func (c *Controller) holding(ctx context.Context, ours func(procfs.Snapshot) bool) (_ *Unmanaged, err error) {
	all, err := c.holders(ctx)
	if err != nil {
		return nil, err
	}
	s := &Unmanaged{c: c}
	defer func() {
		if err != nil && s.proc != nil {
			s.proc.Close()
		}
	}()
	for _, p := range all {
		proc, k, err := openProcess(p)
		if errors.Is(err, procfs.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		below := slices.ContainsFunc(all, func(other procfs.ID) bool { return other.PID == k.PPID })
		switch {
		case k.PID == 1 || k.PID == os.Getpid() || ours(k):
			err = fmt.Errorf("%w: pid %d", ErrOurs, k.PID)
		case below:
			s.below = append(s.below, p)
		case s.proc != nil:
			err = fmt.Errorf("%w: pid %d and pid %d both have the port open", ErrAmbiguous, s.Key.PID, k.PID)
		default:
			s.Key, s.proc = k, proc
			continue
		}
		proc.Close()
		if err != nil {
			return nil, err
		}
	}
	if s.proc == nil {
		return nil, nil
	}
	return s, nil
}

// openProcess opens p, if it is still that process. The caller must Close the Handle.
func openProcess(p procfs.ID) (*procfs.Handle, procfs.Snapshot, error) {
	proc, err := procfs.Open(p.PID)
	if err != nil {
		return nil, procfs.Snapshot{}, err
	}
	k, err := proc.Snapshot()
	if err == nil && k.ID() != p {
		err = fmt.Errorf("%w: pid %d", errChanged, p.PID)
	}
	if err != nil {
		proc.Close()
		return nil, k, err
	}
	return proc, k, nil
}

func (c *Controller) healthy(ctx context.Context, g *Gateway) error {
	job := proof.Job{Mode: proof.Health, Port: c.Port, Check: c.Ready, Deadline: c.Health.Timeout}
	a, err := c.inspector.Ask(ctx, inspector.Question{Judge: &inspector.Judge{Gateway: g.Key.ID(), Job: job}})
	switch {
	case err != nil:
		return err
	case a.Elsewhere:
		return fmt.Errorf("%w: pid %d has another network namespace", ErrAmbiguous, g.Key.PID)
	}
	return c.Verdict(a)
}

// Close closes the descriptor of the process, and the inspector.
func (s *Unmanaged) Close() {
	s.proc.Close()
	s.c.inspector.Close()
}
