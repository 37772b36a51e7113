// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
)

// Bounds of a search.
const (
	maxProcesses = 1 << 16
	maxChildren  = 1 << 15
	scans        = 2 // how many looks must find no supervisor before the error is ErrNone
)

const program = "gateway-init"

// Supervisor is a gateway-init without root. It is proved, and its process is
// held open.
type Supervisor struct {
	*procfs.Held
	Topology string // NonRoot or Managed
}

// prove returns nil while the supervisor is the process that was found.
func (s *Supervisor) prove() error {
	if err := s.Verify(); err != nil {
		return fmt.Errorf("%w: the supervisor, pid %d: %w", errChanged, s.PID, err)
	}
	return nil
}

// Owns reports whether k is the supervisor or has the shape of a process that it
// started: its gateway, its command or a sidecar. Each of them is its child and
// leads a session. An orphan can make itself a session leader, and nothing tells
// it from them.
func (s *Supervisor) Owns(k procfs.Snapshot) bool {
	return k.PID == s.PID || k.PPID == s.PID && k.Session == k.PID
}

// Find returns the one supervisor, which is PID 1 or the one child of PID 1 that
// has the shape of the installed program. The error is ErrAmbiguous if there is
// more than one, or if a look finds none and PID 1 is not the same any more. It
// is ErrNone if two looks find none. It is ErrUnproven for a supervisor that
// runs as root. Such a supervisor publishes files that only root can have
// written, and without them nothing says that it is one. The caller must Close
// the Supervisor.
func Find(ctx context.Context) (*Supervisor, error) {
	one, err := procfs.Hold(1)
	if err != nil {
		return nil, fmt.Errorf("cannot look at PID 1: %w", err)
	}
	if looksLikeInit(one.Snapshot) {
		if !isUnprivileged(one.Snapshot) {
			one.Close()
			return nil, fmt.Errorf("%w: PID 1", ErrUnproven)
		}
		return &Supervisor{one, NonRoot}, nil
	}
	defer one.Close()
	for range scans {
		s, err := childOfInit(ctx)
		if s != nil || err != nil {
			return s, err
		}
		if err := one.Verify(); err != nil {
			return nil, fmt.Errorf("%w: PID 1 is not what it was: %w", ErrAmbiguous, err)
		}
	}
	return nil, ErrNone
}

// childOfInit returns nil if there is no such child. The kernel's list of
// children is short. It may lack a child that was added while it was read
// (proc(5)), so an empty result is confirmed by a look at all processes.
func childOfInit(ctx context.Context) (found *Supervisor, err error) {
	defer func() {
		if err != nil && found != nil {
			found.Close()
			found = nil
		}
	}()
	take := func(pid int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := candidate(pid)
		switch {
		case s == nil:
			return err
		case found == nil:
			found = s
			return nil
		case found.PID == s.PID:
			s.Close()
			return nil
		}
		s.Close()
		return fmt.Errorf("%w: pid %d and pid %d both look like the supervisor", ErrAmbiguous, found.PID, s.PID)
	}
	pids, err := procfs.Children(1, maxChildren)
	if err != nil {
		return nil, fmt.Errorf("cannot list the children of PID 1: %w", err)
	}
	for _, pid := range pids {
		if err := take(pid); err != nil {
			return found, err
		}
	}
	if found == nil {
		err = procfs.Each(maxProcesses, take)
	}
	return found, err
}

// candidate returns the supervisor if pid is one below PID 1, and otherwise nil.
func candidate(pid int) (*Supervisor, error) {
	p, err := procfs.Hold(pid)
	if err != nil {
		return nil, ignoreGone(err)
	}
	switch {
	case p.PPID != 1 || pid == 1 || p.Ended() || !looksLikeInit(p.Snapshot):
		p.Close()
		return nil, nil
	case !isUnprivileged(p.Snapshot):
		p.Close()
		return nil, fmt.Errorf("%w: pid %d", ErrUnproven, pid)
	}
	return &Supervisor{p, Managed}, nil
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

// isUnprivileged reports whether all four uids are the same and not root's.
func isUnprivileged(k procfs.Snapshot) bool {
	return k.UIDs[0] != 0 && k.Only(k.UIDs[0])
}

// looksLikeInit reports whether k looks like the installed program. It compares k's
// file, or the name if the file cannot be seen (gateway-init cannot be traced,
// so only CAP_SYS_PTRACE shows its file). A name proves nothing against an agent
// that wants to have it; two processes with the name are ambiguous.
func looksLikeInit(k procfs.Snapshot) bool {
	if k.ExeIno != 0 {
		return isInstalled(k.ExeDev, k.ExeIno)
	}
	return len(k.Argv) > 0 && path.Base(k.Argv[0]) == program && k.Comm == program
}

// isInstalled reports whether the file is gateway-init in a place where images
// have it, or beside this program.
func isInstalled(dev, ino uint64) bool {
	places := []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/"}
	if self, err := os.Executable(); err == nil {
		places = append(places, path.Dir(self))
	}
	for _, place := range places {
		if st, err := os.Stat(path.Join(place, program)); err == nil {
			if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Dev == dev && sys.Ino == ino {
				return true
			}
		}
	}
	return false
}
