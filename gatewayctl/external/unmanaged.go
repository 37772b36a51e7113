// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// maxHolders bounds the processes that have the port open.
const maxHolders = 64

// Errors of FindUnmanaged if there is no unmanaged gateway.
var (
	ErrNoUnmanaged = errors.New("there is no gateway to take over: no process listens there")
	ErrOurs        = errors.New("gateway-init's own child has the port open")
)

// Unmanaged is a process that serves on the gateway's port and was not started by
// a supervisor here.
type Unmanaged struct {
	*procfs.Held
	Stat procfs.Stat // as it was found

	stages
	settings config.Gateway
	owner    uint32      // the user who listens
	below    []procfs.ID // those of its children that have the port open too
}

// FindUnmanaged proves which process serves on the port. All listeners must belong
// to one user, one process (or its children) must have them open, and it must
// answer as a gateway does. ours, unless it is nil, reports whether a process must not be
// ended; if such a process has the port open, the error is ErrOurs. If the port is free, the
// error is ErrNoUnmanaged. The caller must Close the Unmanaged.
func FindUnmanaged(ctx context.Context, g config.Gateway, ours func(procfs.Stat) bool, say func(stage string)) (*Unmanaged, error) {
	u := &Unmanaged{stages: stages{say: say}, settings: g}
	u.enter("looking who listens on the gateway's port")
	err := u.find(ctx, ours)
	if err == nil {
		u.Held, err = u.Stat.ID().Hold()
	}
	if err != nil {
		return nil, u.fail(err)
	}
	u.enter(fmt.Sprintf("proving pid %d", u.PID))
	job := proof.Job{Mode: proof.Health, Port: g.Port, Check: g.Ready, Deadline: g.Health.Timeout}
	a, err := user{u.owner, u.GIDs[0]}.judge(ctx, u.Held, job, "")
	if err == nil {
		err = u.verdict(a)
	}
	if err != nil {
		u.Close()
		return nil, u.fail(err)
	}
	return u, nil
}

// find notes the topmost process that has the port open, and those below it.
func (u *Unmanaged) find(ctx context.Context, ours func(procfs.Stat) bool) error {
	ls, err := sockets.Listeners(u.settings.Port)
	if err == nil && len(ls) == 0 {
		err = ErrNoUnmanaged
	}
	if err != nil {
		return err
	}
	u.owner = ls[0].UID
	for _, l := range ls {
		if l.UID != u.owner {
			return fmt.Errorf("%w: uid %d and uid %d both listen on port %d", ErrAmbiguous, u.owner, l.UID, u.settings.Port)
		}
	}
	all, err := u.holders(ctx, ls)
	for _, st := range all {
		switch {
		case st.PID == 1 || st.PID == os.Getpid() || ours != nil && ours(st):
			return fmt.Errorf("%w: pid %d", ErrOurs, st.PID)
		case slices.ContainsFunc(all, func(other procfs.Stat) bool { return other.PID == st.PPID }):
			u.below = append(u.below, st.ID())
		case u.Stat.PID != 0:
			return fmt.Errorf("%w: pid %d and pid %d both have the port open", ErrAmbiguous, u.Stat.PID, st.PID)
		default:
			u.Stat = st
		}
	}
	if err == nil && u.Stat.PID == 0 {
		err = fmt.Errorf("%w: no process of uid %d has the port open", ErrAmbiguous, u.owner)
	}
	return err
}

// holders returns the processes of the user that have one of the listeners open. It looks
// at all processes, because an unmanaged gateway may be the child of any process. Each is
// seen with its own group.
func (u *Unmanaged) holders(ctx context.Context, ls []sockets.Listener) (all []procfs.Stat, err error) {
	err = procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		var status procfs.Status
		if err == nil {
			status, err = procfs.ReadStatus(pid)
		}
		if err != nil || status.UIDs[0] != u.owner {
			return ctx.Err() // it has ended, or is another user's
		}
		has, err := as(ctx, user{u.owner, status.GIDs[0]}, nil, func() (bool, error) {
			has, err := sockets.Holds(pid, ls)
			return has && err == nil, nil // a process that cannot be seen is not this user's
		})
		if has && st.ID().Verify() == nil {
			all = append(all, st)
		}
		if len(all) > maxHolders {
			err = fmt.Errorf("%w: more than %d processes have the port open", ErrAmbiguous, maxHolders)
		}
		return err
	})
	return all, err
}

// Stop ends the unmanaged gateway by pidfd, and then those of its children that
// still have the port open. A process that has taken the port since is not ended,
// because it may be our own gateway.
func (u *Unmanaged) Stop(ctx context.Context) error {
	_, err := u.stop(ctx, u.Held, &u.settings)
	for i := 0; i < len(u.below) && err == nil; i++ {
		err = u.stopHolder(ctx, u.below[i])
	}
	return u.fail(err)
}

// stopHolder tries again if the process ends by itself meanwhile, because it then has
// another parent for a moment.
func (u *Unmanaged) stopHolder(ctx context.Context, id procfs.ID) (err error) {
	const tries = 4
	for range tries {
		ls, err := sockets.Listeners(u.settings.Port)
		if err != nil {
			return err
		}
		all, err := u.holders(ctx, ls)
		if err != nil || !slices.ContainsFunc(all, func(st procfs.Stat) bool { return st.ID() == id }) {
			return err
		}
		p, err := id.Hold()
		if err == nil {
			_, err = u.stop(ctx, p, &u.settings)
			p.Close()
		}
		if err == nil || ignoreGone(err) != nil {
			return err
		}
	}
	return err
}
