// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Started holds settings that PID 1 was started with and that Go's runtime has changed.
// Children get them.
type Started struct {
	Mask   uint64 // blocked signals: bit n-1 is signal n
	Nofile syscall.Rlimit
}

// execBound is how long Start waits until the re-exec child runs, which takes less than a
// millisecond. A process of the target's UID can stop the child or take its processor time
// before that. PID 1 does not wait for it any longer: such a child has to answer in time,
// as any other.
const execBound = 50 * time.Millisecond

// fork forks and executes /proc/self/exe, which is the same binary even if its path
// has changed. We can read our own link although we are not dumpable, because the
// kernel lets a thread group look at itself. adj is the child's OOM score adjustment.
func fork(c Child, adj int, spec, w *os.File) (*Proc, error) {
	f := sys.Fork{
		Path: "/proc/self/exe", Argv: []string{ReexecName, name(c.Spec)},
		Env:   []string{"GOMAXPROCS=1"}, // it starts faster so; no variable of PID 1 reaches the re-exec child
		Dir:   "/",
		Files: c.files(spec, w),
		// The command has a process group only, because it owns the terminal.
		Session: !c.Spec.Foreground,
		Mask:    uint64(c.Spec.Mask), Pidfd: true,
	}
	if c.Started != nil {
		f.Nofile = &c.Started.Nofile
	}
	if c.Spec.Stay {
		f.Dir = "" // ours
	}
	if c.changesUser() {
		f.User = &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
	}
	child, unscored, err := forkScored(f, adj)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		// The kernel may have refused CLONE_PIDFD, and Signal works without it. Any
		// other error comes again.
		f.Pidfd = false
		before := unscored
		child, unscored, err = forkScored(f, adj)
		unscored = errors.Join(before, unscored)
	}
	runtime.KeepAlive(c)
	runtime.KeepAlive(spec)
	runtime.KeepAlive(w)
	if err != nil {
		return nil, err
	}
	return &Proc{PID: child.PID, Unscored: unscored, pidfd: child.Pidfd, dir: -1}, nil
}

// forkScored forks a child with the OOM score adjustment adj, and waits until it has
// executed. PID 1 has that score only while it forks.
func forkScored(f sys.Fork, adj int) (child *sys.Forked, unscored, err error) {
	restore, unscored := raiseScore(adj)
	child, err = f.Start()
	unscored = errors.Join(unscored, restore())
	if err == nil {
		err = child.Await(execBound)
	}
	return child, unscored, err
}

// files returns the descriptors of the re-exec child. The place of one that it does not
// get is taken by its orders, if others follow.
func (c Child) files(spec, report *os.File) []uintptr {
	files := []uintptr{c.Stdio[0].Fd(), c.Stdio[1].Fd(), c.Stdio[2].Fd(), spec.Fd(), report.Fd()}
	if c.Spec.Token != nil {
		files = append(files, c.Token.Fd())
	}
	for len(files) < LifeFD && (c.Spec.Life || c.Spec.Confine || len(c.Pass) > 0) {
		files = append(files, spec.Fd())
	}
	switch {
	case c.Spec.Life: // of a worker, which is not confined
		files = append(files, uintptr(c.PIDFD))
	case c.Spec.Confine:
		files = append(files, c.holding.r.Fd())
	}
	for len(files) < PassFD && len(c.Pass) > 0 {
		files = append(files, spec.Fd())
	}
	for _, f := range c.Pass {
		files = append(files, f.Fd())
	}
	return files
}

// mask returns the signal mask of the target.
func (c Child) mask() uint64 {
	if c.Started != nil {
		return c.Started.Mask
	}
	return sys.SignalMask()
}

// changesUser reports whether the fork has to change its user. Without root every
// child has our own uid, and the kernel refuses even a setgroups(2) that changes
// nothing. Root has no children of its own uid.
func (c Child) changesUser() bool {
	uid := os.Geteuid()
	return uid == 0 || uint32(uid) != c.UID
}
