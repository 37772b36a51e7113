// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// This file finds and ends the agent's processes that keep the gateway's port taken.

// Account is a user of whom processes are looked at. Root in a container has no
// CAP_SYS_PTRACE, so the kernel shows the descriptors of another user's process only to a
// thread with that user's effective ids (sys.AsUser), and only if the process has both ids
// and may be traced.
type Account struct{ UID, GID uint32 }

// PortUse says which processes of a user have a port. Processes of another container are in
// neither list.
type PortUse struct {
	Sockets int           // the user's sockets with that local port
	Holders []procfs.Stat // the processes that have one of them open
	Others  []procfs.Stat // the user's other processes, the newest first
	Hidden  bool          // none of Holders has one of the sockets
}

// FindPortUse looks for the user's sockets on the port and for the processes that have them.
// A process can keep the kernel from showing its descriptors (prctl(2), PR_SET_DUMPABLE), and
// a socket that is on its way to another process is in none. If ctx ends before all processes
// were looked at, all of them are Others, and Hidden is true.
func FindPortUse(ctx context.Context, u Account, port uint16) (PortUse, error) {
	inodes, err := socketsOf(u.UID, port)
	if len(inodes) == 0 {
		return PortUse{}, err
	}
	all, err := processesOf(u.UID)
	if err != nil {
		return PortUse{}, err
	}
	var found PortUse // not read unless the search has ended
	err = sys.AsUser(ctx, u.UID, u.GID, nil, func() error {
		found = split(ctx, all, inodes)
		return nil
	})
	if errors.Is(err, ctx.Err()) && err != nil {
		return PortUse{Sockets: len(inodes), Others: all, Hidden: true}, nil
	}
	if err != nil {
		return PortUse{}, err
	}
	return found, nil
}

// socketsOf returns the inodes of the user's sockets with that local port, listening or not.
// A connection that no process has accepted yet has none.
func socketsOf(uid uint32, port uint16) (inodes []uint64, err error) {
	ls, err := sockets.Listeners(port)
	if err != nil && !errors.Is(err, sockets.ErrMany) {
		return nil, err
	}
	for _, l := range ls {
		if l.UID == uid {
			inodes = append(inodes, l.Inode)
		}
	}
	bound, _, err := sockets.ListBound(port)
	if err != nil && !errors.Is(err, sockets.ErrMany) {
		return nil, err
	}
	for _, b := range bound {
		if b.UID == uid && b.Inode != 0 {
			inodes = append(inodes, b.Inode)
		}
	}
	return inodes, nil
}

// processesOf lists the live processes of a user in our container, the newest first.
func processesOf(uid uint32) (all []procfs.Stat, err error) {
	outside := outsider()
	err = procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		if err != nil || st.Ended() {
			return nil
		}
		if real, err := procfs.ReadUID(pid); err == nil && real == uid && !outside(pid) {
			all = append(all, st)
		}
		return nil
	})
	slices.SortFunc(all, newestFirst)
	return all, err
}

// split divides the processes into those that have one of the sockets and the others.
func split(ctx context.Context, all []procfs.Stat, inodes []uint64) (u PortUse) {
	u.Sockets = len(inodes)
	left := slices.Clone(inodes)
	for _, st := range all {
		var held []uint64
		if ctx.Err() == nil {
			held, _ = sockets.HeldBy(st.PID, inodes) // the kernel may not show it
		}
		if len(held) == 0 {
			u.Others = append(u.Others, st)
			continue
		}
		u.Holders = append(u.Holders, st)
		left = slices.DeleteFunc(left, func(i uint64) bool { return slices.Contains(held, i) })
	}
	u.Hidden = len(left) > 0
	return u
}

// Kill sends SIGKILL to those of the processes that spare does not name, and returns the pids
// of those that got it.
func Kill(all []procfs.Stat, spare func(pid int) bool) (ended []int, err error) {
	for _, st := range all {
		if spare(st.PID) {
			continue
		}
		switch e := st.ID().Signal(unix.SIGKILL); {
		case e == nil:
			ended = append(ended, st.PID)
		case !procfs.IsGone(e) && !errors.Is(e, procfs.ErrReplaced):
			err = errors.Join(err, e)
		}
	}
	return ended, err
}

// maxPasses bounds the passes of KillAll through /proc.
const maxPasses = 8

// KillAll kills all processes of a user in our container but those that spare names, and
// returns their pids. It looks again, because a process may have forked before it was killed.
func KillAll(uid uint32, spare func(pid int) bool) (ended []int, err error) {
	killed := map[procfs.ID]bool{}
	for range maxPasses {
		all, errList := processesOf(uid)
		fresh := slices.DeleteFunc(all, func(st procfs.Stat) bool { return killed[st.ID()] || spare(st.PID) })
		if len(fresh) == 0 || errList != nil {
			return ended, errors.Join(err, errList)
		}
		pids, errKill := Kill(fresh, spare)
		ended, err = append(ended, pids...), errors.Join(err, errKill)
		for _, st := range fresh {
			killed[st.ID()] = true
		}
	}
	return ended, err
}

// freeLimit bounds the search of FreePort, because PID 1 does nothing else meanwhile.
const freeLimit = 200 * time.Millisecond

// FreePort kills the processes of a user that have a socket with the local port, but none
// that spare names. If a socket's process cannot be found, and all is set, it kills every
// process of the user that spare does not name. It returns the pids that it killed, and
// whether it killed all.
func (s *ByUID) FreePort(u Account, port uint16, spare func(pid int) bool, all bool) (ended []int, every bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), freeLimit)
	defer cancel()
	use, err := FindPortUse(ctx, u, port)
	if err != nil {
		return nil, false, err
	}
	if use.Hidden && all {
		ended, err = KillAll(u.UID, spare)
		return ended, true, err
	}
	ended, err = Kill(use.Holders, spare)
	return ended, false, err
}
