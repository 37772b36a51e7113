// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/gateway-init/gateway-init/gatewayctl/inspector"
	"github.com/gateway-init/gateway-init/internal/config"
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
	*procfs.Held

	stages
	settings  config.Gateway
	below     []procfs.ID          // those of its children that have the port open too
	inspector *inspector.Inspector // of its user
}

// Close closes the process and the inspector.
func (u *Unmanaged) Close() {
	if u.Held != nil {
		u.Held.Close()
	}
	u.inspector.Close()
}

// FindUnmanaged proves which process serves on the port. All listeners must belong
// to one user, one process (or its children) must have them open, and it must
// answer as a gateway does. ours reports whether a process must not be ended; if
// such a process has the port open, the error is ErrOurs. If the port is free, the
// error is ErrNoUnmanaged. The caller must Close the Unmanaged.
func FindUnmanaged(ctx context.Context, g config.Gateway, ours func(procfs.Snapshot) bool, say func(stage string)) (*Unmanaged, error) {
	s := stages{say: say}
	s.enter("looking who listens on the gateway's port")
	uid, err := ownerOf(g.Port)
	if err != nil {
		return nil, s.fail(err)
	}
	gids, err := groupsOf(ctx, uid)
	if err != nil {
		return nil, s.fail(err)
	}
	for _, gid := range gids {
		u := &Unmanaged{stages: s, settings: g}
		if u.inspector, err = inspector.Start(ctx, uid, gid, nil); err != nil {
			return nil, s.fail(err)
		}
		if err = u.find(ctx, ours); err == nil && u.Held != nil {
			return u, nil
		}
		u.Close()
		if err != nil {
			return nil, u.fail(err)
		}
	}
	return nil, s.fail(fmt.Errorf("%w: no process of uid %d has the port open", ErrAmbiguous, uid))
}

// ownerOf returns the one user that listens on the port.
func ownerOf(port uint16) (uint32, error) {
	ls, err := sockets.Listeners(port)
	switch {
	case err != nil:
		return 0, err
	case len(ls) == 0:
		return 0, ErrNoUnmanaged
	}
	for _, l := range ls {
		if l.UID != ls[0].UID {
			return 0, fmt.Errorf("%w: uid %d and uid %d both listen on port %d", ErrAmbiguous, ls[0].UID, l.UID, port)
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

// find holds the topmost process that has the port open and serves, and notes the
// holders below it. It holds none if no process of the inspector's user and group has the
// port open. It returns ErrOurs if one of them is ours.
func (u *Unmanaged) find(ctx context.Context, ours func(procfs.Snapshot) bool) error {
	all, err := u.holders(ctx)
	for _, id := range all {
		if err == nil {
			err = u.take(id, all, ours)
		}
	}
	if u.Held == nil || err != nil {
		return err
	}
	u.enter(fmt.Sprintf("proving pid %d", u.PID))
	job := proof.Job{Mode: proof.Health, Port: u.settings.Port, Check: u.settings.Ready, Deadline: u.settings.Health.Timeout}
	a, err := u.inspector.Ask(ctx, inspector.Question{Judge: &inspector.Judge{Gateway: u.ID(), Job: job}})
	switch {
	case err != nil:
		return err
	case a.Elsewhere:
		return fmt.Errorf("%w: pid %d has another network namespace", ErrAmbiguous, u.PID)
	}
	return u.verdict(u.settings.Port, a)
}

// holders returns the processes of the inspector's user that have the port open.
func (u *Unmanaged) holders(ctx context.Context) ([]procfs.ID, error) {
	a, err := u.inspector.Ask(ctx, inspector.Question{Holders: &inspector.Holders{Port: u.settings.Port}})
	if err == nil && len(a.Processes) > maxHolders {
		err = fmt.Errorf("%w: more than %d processes have the port open", ErrAmbiguous, maxHolders)
	}
	return a.Processes, err
}

// take holds the process, or notes it if its parent is one of all.
func (u *Unmanaged) take(id procfs.ID, all []procfs.ID, ours func(procfs.Snapshot) bool) error {
	p, err := id.Hold()
	if errors.Is(err, procfs.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	below := slices.ContainsFunc(all, func(other procfs.ID) bool { return other.PID == p.PPID })
	switch {
	case p.PID == 1 || p.PID == os.Getpid() || ours(p.Snapshot):
		err = fmt.Errorf("%w: pid %d", ErrOurs, p.PID)
	case below:
		u.below = append(u.below, id)
	case u.Held != nil:
		err = fmt.Errorf("%w: pid %d and pid %d both have the port open", ErrAmbiguous, u.PID, p.PID)
	default:
		u.Held = p
		return nil
	}
	p.Close()
	return err
}

// Stop ends the unmanaged gateway by pidfd, and then those of its children that
// still have the port open. A process that has taken the port since is not ended,
// because it may be our own gateway.
func (u *Unmanaged) Stop(ctx context.Context) error {
	_, err := u.stop(ctx, u.Held, &u.settings)
	for _, id := range u.below {
		if err == nil {
			err = u.stopHolder(ctx, id)
		}
	}
	return u.fail(err)
}

func (u *Unmanaged) stopHolder(ctx context.Context, id procfs.ID) error {
	for try := 0; ; try++ {
		now, err := u.holders(ctx)
		if err != nil || !slices.Contains(now, id) {
			return err
		}
		p, err := id.Hold()
		if err == nil {
			_, err = u.stop(ctx, p, &u.settings)
			p.Close()
		}
		// The process may end by itself meanwhile, and then has another parent for a
		// moment.
		if err == nil || try == tries || ignoreGone(err) != nil {
			return err
		}
	}
}
