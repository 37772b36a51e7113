// Package sweep ends what a former gateway left behind, helpers with sessions
// of their own included, and nothing else.
package sweep

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"gatewayinit/internal/sys"
)

// Sweeper ends the processes of one UID.
//
// As PID 1 of a PID namespace of its own it lets the kernel do it: kill(-1)
// with the UID as its own, no fork, no look at /proc, no race. When the
// namespace is shared with other containers the same UID may be theirs too:
// then only its own descendants are ended, child by child; it is a subreaper,
// so each generation is handed to it when the one before is gone.
type Sweeper struct {
	uid    uint32
	shared atomic.Bool
}

// New returns a sweeper for the gateway's UID. shared: see Share.
func New(uid uint32, shared bool) *Sweeper {
	s := &Sweeper{uid: uid}
	s.shared.Store(shared)
	return s
}

// Share says that another container lives in our PID namespace from now on.
func (s *Sweeper) Share() { s.shared.Store(true) }

// Sweep sends SIGKILL once; Alive tells when to do it again.
func (s *Sweeper) Sweep() error {
	if !s.shared.Load() {
		return sys.KillUser(s.uid, unix.SIGKILL)
	}
	pids, err := s.children(s.uid)
	for _, pid := range pids {
		// A child of ours: nobody but us can reap it, so the pid is still its own.
		if e := sys.Kill(pid, unix.SIGKILL); e != nil && !errors.Is(e, unix.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Alive tells whether a process of the UID is left, zombies included.
func (s *Sweeper) Alive() (bool, error) { return s.Others(s.uid) }

// Others tells the same of another UID.
func (s *Sweeper) Others(uid uint32) (bool, error) {
	if !s.shared.Load() {
		return sys.UserAlive(uid)
	}
	pids, err := s.children(uid)
	return len(pids) > 0, err
}

// Signal sends sig to all processes of uid, as far as they are ours to signal.
func (s *Sweeper) Signal(uid uint32, sig syscall.Signal) {
	if !s.shared.Load() {
		sys.KillUser(uid, sig)
		return
	}
	pids, _ := s.children(uid)
	for _, pid := range pids {
		sys.Kill(pid, sig)
	}
}

// children lists our children with the real uid. The kernel keeps the list per
// thread (/proc/PID/task/TID/children, CONFIG_PROC_CHILDREN); an orphan is
// handed to the main thread, a fork belongs to the thread that made it.
func (s *Sweeper) children(uid uint32) ([]int, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, t := range tasks {
		data, err := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return found, err
		}
		for _, field := range strings.Fields(string(data)) {
			pid, err := strconv.Atoi(field)
			if err == nil && realUID(pid) == int64(uid) {
				found = append(found, pid)
			}
		}
	}
	return found, nil
}

// realUID is the first number of the Uid line of /proc/PID/status, or -1.
func realUID(pid int) int64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return -1
	}
	_, rest, ok := strings.Cut(string(data), "\nUid:\t")
	if !ok {
		return -1
	}
	text, _, _ := strings.Cut(rest, "\t")
	uid, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return uid
}
