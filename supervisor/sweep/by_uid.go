// SPDX-License-Identifier: Apache-2.0

// Package sweep ends the remaining processes of a former gateway, including helpers
// with their own sessions, and no other process.
package sweep

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// ByUID ends the processes of one UID.
//
// As PID 1 of its own PID namespace it lets the kernel do it. It takes the UID and
// calls kill(-1), without a fork or a race. If the namespace is shared with another init
// above us, or with another container that has processes of the same UID, it signals only
// its own descendants: all of them, so that each gets SIGTERM at once. SIGKILL goes child
// by child. It is a subreaper, so each generation is handed to it when the one before is
// gone. As PID 1 it is also handed orphans of the other container, and spares them.
type ByUID struct {
	// OnForeign is called once, when processes of another container have been found that
	// have uid. It may be nil.
	OnForeign func(uid uint32)

	uid    uint32
	shared atomic.Bool
	last   look
	told   bool // OnForeign was called
}

// NewByUID returns a sweeper for the gateway's UID. For shared see Share.
func NewByUID(uid uint32, shared bool) *ByUID {
	s := &ByUID{uid: uid}
	s.shared.Store(shared)
	return s
}

// Share tells the sweeper that another container lives in our PID namespace from
// now on.
func (s *ByUID) Share() { s.shared.Store(true) }

// Track does nothing. Track and Note are for ByAncestry, because the kernel knows the
// gateway's processes by uid.
func (s *ByUID) Track(func(pid int) bool, func() procfs.ID) {}

// Note does nothing.
func (s *ByUID) Note() error { return nil }

// Terminate sends SIGTERM once, and SIGCONT, because a stopped process does not see
// SIGTERM.
func (s *ByUID) Terminate() error {
	return errors.Join(s.kill(s.uid, unix.SIGTERM), s.kill(s.uid, unix.SIGCONT))
}

// Sweep sends SIGKILL once. It must be called again while Alive returns true.
func (s *ByUID) Sweep() error { return s.kill(s.uid, unix.SIGKILL) }

func (s *ByUID) kill(uid uint32, sig syscall.Signal) error {
	if !s.isShared(uid) {
		return sys.KillUser(uid, sig)
	}
	if sig != unix.SIGKILL {
		outside := outsider()
		return SignalBelow(sig, func(pid int) bool {
			real, err := procfs.ReadUID(pid)
			return err == nil && real == uid && !outside(pid)
		})
	}
	pids, err := s.children(uid)
	for _, pid := range pids {
		// Only we can reap our child, so until then its pid is not reused.
		if e := sys.Kill(pid, sig); e != nil && !errors.Is(e, unix.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Alive reports whether a process of the UID is left, zombies included.
func (s *ByUID) Alive() (bool, error) { return s.Others(s.uid) }

// Others reports whether a process of another UID is left, zombies included.
func (s *ByUID) Others(uid uint32) (bool, error) {
	if !s.shared.Load() { // the look at the namespace is only worth while if one is alive
		if alive, err := sys.UserAlive(uid); !alive || err != nil || !s.isShared(uid) {
			return alive, err
		}
	}
	pids, err := s.children(uid)
	return len(pids) > 0, err
}

// Signal sends sig to all processes of uid. In a shared PID namespace it sends sig
// only to those that are our descendants.
func (s *ByUID) Signal(uid uint32, sig syscall.Signal) { _ = s.kill(uid, sig) }

// maxChildren is the kernel's own bound of pids (PID_MAX_LIMIT).
const maxChildren = 1 << 22

// Children lists the pids of our children, zombies included. No other process can
// reap them, so until we do their pids are not reused.
func Children() ([]int, error) { return procfs.Children(os.Getpid(), maxChildren) }

// children lists our children that have uid as their real uid, without those of another
// container.
func (s *ByUID) children(uid uint32) ([]int, error) {
	pids, err := Children()
	outside := outsider()
	var found []int
	for _, pid := range pids {
		real, errLook := procfs.ReadUID(pid)
		switch {
		case procfs.IsGone(errLook):
		case errLook != nil: // a process that cannot be seen may be alive
			err = errors.Join(err, errLook)
		case real == uid && !outside(pid):
			found = append(found, pid)
		}
	}
	return found, err
}
