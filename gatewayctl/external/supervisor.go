// SPDX-License-Identifier: Apache-2.0

package external

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

const (
	maxChildren = 1 << 15
	scans       = 2 // looks that must find nothing before the answer is that there is nothing
	program     = "gateway-init"
)

// Supervisor is a gateway-init without root. It is proved, and its process is
// held open.
type Supervisor struct{ *procfs.Held }

// Topology returns NonRoot or Managed.
func (s *Supervisor) Topology() string {
	if s.PID == 1 {
		return NonRoot
	}
	return Managed
}

func (s *Supervisor) user() user { return user{s.UIDs[0], s.GIDs[0]} }

// As calls f, which must obey ctx, with the rights of the supervisor's user.
func (s *Supervisor) As(ctx context.Context, f func() error) error {
	return sys.AsUser(context.WithoutCancel(ctx), s.UIDs[0], s.GIDs[0], nil, f)
}

// prove returns nil while the supervisor is the process that was found.
func (s *Supervisor) prove() error {
	if err := s.Verify(); err != nil {
		return fmt.Errorf("%w: the supervisor, pid %d: %w", errChanged, s.PID, err)
	}
	return nil
}

// Owns reports whether st is the supervisor or has the shape of a process that it
// started: its child, which leads a session. Nothing tells an orphan with its own session
// from them.
func (s *Supervisor) Owns(st procfs.Stat) bool {
	return st.PID == s.PID || st.PPID == s.PID && st.Session == st.PID
}

// Find returns the one supervisor, which is PID 1 or the one child of PID 1 that has the
// shape of the installed program. The error is ErrAmbiguous if there are several, or if
// PID 1 changes meanwhile, ErrNone if two looks find none, and ErrUnproven for one that
// runs as root, which must have files of its own. The caller must Close the Supervisor.
func Find(ctx context.Context) (*Supervisor, error) {
	one, err := procfs.Hold(1)
	if err != nil {
		return nil, fmt.Errorf("cannot look at PID 1: %w", err)
	}
	shaped, err := isSupervisor(one.Snapshot)
	if shaped {
		return &Supervisor{one}, nil
	}
	defer one.Close()
	if err != nil {
		return nil, err
	}
	for range scans {
		p, err := childOfInit(ctx)
		if err != nil {
			return nil, err
		}
		if p != nil {
			return &Supervisor{p}, nil
		}
		if err := one.Verify(); err != nil {
			return nil, fmt.Errorf("%w: PID 1 is not what it was: %w", ErrAmbiguous, err)
		}
	}
	return nil, ErrNone
}

// childOfInit returns nil if there is no such child. The kernel's list of children also
// names those that /proc hides. It may lack a child that was added while it was read
// (proc(5)), so all processes are asked for their parent, too.
func childOfInit(ctx context.Context) (*procfs.Held, error) {
	pids, err := procfs.Children(1, maxChildren)
	if err == nil {
		err = procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
			if err == nil && st.PPID == 1 {
				pids = append(pids, pid)
			}
			return ctx.Err()
		})
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the children of PID 1: %w", err)
	}
	return onlyOne(pids, "the supervisor", childSupervisor)
}

// onlyOne returns the only process that hold holds, or nil if hold returns nil for each.
func onlyOne(pids []int, what string, hold func(pid int) (*procfs.Held, error)) (found *procfs.Held, err error) {
	slices.Sort(pids)
	for _, pid := range slices.Compact(pids) { // a child that moves to another thread is listed twice
		p, err := hold(pid)
		if p != nil && found != nil {
			p.Close()
			err = fmt.Errorf("%w: pid %d and pid %d both look like %s", ErrAmbiguous, found.PID, pid, what)
		}
		if err != nil && found != nil {
			found.Close()
		}
		if err != nil {
			return nil, err
		}
		found = cmp.Or(found, p)
	}
	return found, nil
}

// childSupervisor holds pid if it is a supervisor below PID 1, and otherwise returns nil.
func childSupervisor(pid int) (*procfs.Held, error) {
	p, err := procfs.Hold(pid)
	if err != nil {
		return nil, ignoreGone(err)
	}
	shaped := false
	if p.PPID == 1 && !p.Ended() {
		shaped, err = isSupervisor(p.Snapshot)
	}
	if !shaped {
		p.Close()
		return nil, err
	}
	return p, nil
}

// ignoreGone returns nil if err means that a process ended, or became another
// program, during the look. A later look finds out what it is. A process with more
// arguments than are read is not ours.
func ignoreGone(err error) error {
	if procfs.IsGone(err) || errors.Is(err, procfs.ErrChanged) || errors.Is(err, fsafe.ErrTooLarge) {
		return nil
	}
	return err
}

// isSupervisor reports whether k looks like the installed program, and runs as one user
// that is not root. The error is ErrUnproven if it looks like one and does not. If k's file
// cannot be seen, the name counts, although the agent can have it.
func isSupervisor(k procfs.Snapshot) (bool, error) {
	shaped := len(k.Argv) > 0 && path.Base(k.Argv[0]) == program && k.Comm == program
	if k.ExeIno != 0 {
		shaped = isInstalled(k.ExeDev, k.ExeIno)
	}
	if shaped && (k.UIDs[0] == 0 || !k.Only(k.UIDs[0])) {
		return false, fmt.Errorf("%w: pid %d", ErrUnproven, k.PID)
	}
	return shaped, nil
}

// isInstalled reports whether the file is gateway-init in a place where images
// have it, or beside this program.
func isInstalled(dev, ino uint64) bool {
	places := []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/"}
	if self, err := os.Executable(); err == nil {
		places = append(places, path.Dir(self))
	}
	return slices.ContainsFunc(places, func(place string) bool {
		st, err := os.Stat(path.Join(place, program))
		return err == nil && st.Sys().(*syscall.Stat_t).Dev == dev && st.Sys().(*syscall.Stat_t).Ino == ino
	})
}
