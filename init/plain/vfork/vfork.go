// SPDX-License-Identifier: Apache-2.0

// Package vfork starts a program in a child with a given signal mask, signal
// actions, process group, terminal, user and capabilities. Package syscall's fork can
// set neither the actions nor the bounding set, and hangs when it takes the terminal
// from the background (golang.org/issue/37217). A second stage would cost another
// start of Go's runtime.
package vfork

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/program"
)

// Identity is a user to become by setgroups(2), setgid(2) and setuid(2). Without the
// right to do so the child fails, unless we are this user already (Ours). The child then
// keeps the groups that we have.
type Identity struct {
	UID, GID uint32
	Groups   []uint32
	Ours     bool
}

// Child describes the program to start. It inherits the caller's descriptors that
// are not close-on-exec, and the caller's working directory.
type Child struct {
	Argv, Env []string
	Mask      uint64 // blocked signals: bit n-1 is signal n
	Ignored   uint64 // signals whose action is SIG_IGN; the others have their default
	Nofile    *unix.Rlimit
	Terminal  int       // a descriptor whose foreground the child's group becomes; -1: none
	User      *Identity // nil: our own user
	DropCaps  bool      // empty all five sets and set no_new_privs
}

// Error is the step at which the child failed. The child has ended and was reaped.
type Error struct {
	Step  string // "exec", "setuid", ...
	Errno syscall.Errno
	Paths []string // of "exec": the files that were tried, the last one with Errno
}

func (e *Error) Error() string { return e.Step + ": " + e.Errno.Error() }

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// BecomesUser reports whether the child failed to become the Child's User.
func (e *Error) BecomesUser() bool {
	return e.Step == steps[stepGroups] || e.Step == steps[stepGID] || e.Step == steps[stepUID]
}

// The steps of a child, for Error.
var steps = [...]string{"setpgid", "take the terminal", "drop the bounding set", "setgroups", "setgid", "setuid", "close its memory",
	"clear the ambient set", "capset", "no_new_privs", "setrlimit", "exec"}

const (
	stepGroup = iota
	stepTerminal
	stepBounding
	stepGroups
	stepGID
	stepUID
	stepClose
	stepAmbient
	stepCaps
	stepPrivs
	stepLimit
	stepExec
)

// Start forks a child in a process group of its own and returns when it has
// executed argv[0], looked up as execvp(3) does (the child's user, Env's PATH),
// or has failed with an *Error. The caller reaps it.
//
// A child that becomes another user has a copy of our memory. If it shared our memory, a
// process of that user could end us by a signal to the child that dumps core, before Linux
// 5.16, and with fs.suid_dumpable=1 it could write our memory.
func Start(c Child) (pid int, err error) {
	if c.User != nil {
		return c.start(0)
	}
	return c.start(unix.CLONE_VM | unix.CLONE_VFORK)
}

// start is Start with flags of clone(2). As in execvp(3), a shell runs text without a
// "#!" line. The shell would take a program for another machine for text as well.
func (c Child) start(flags uintptr) (int, error) {
	if len(c.Argv) == 0 {
		return 0, &Error{Step: "exec", Errno: unix.EINVAL}
	}
	pid, err := c.try(candidates(c.Argv[0], c.Env), flags)
	var failed *Error
	if !errors.As(err, &failed) || failed.Errno != unix.ENOEXEC || len(failed.Paths) == 0 {
		return pid, err
	}
	script := failed.Paths[len(failed.Paths)-1]
	if !program.IsText(script) {
		return pid, err
	}
	c.Argv = append([]string{shell, script}, c.Argv[1:]...)
	if pid, shellErr := c.try([]string{shell}, flags); shellErr == nil {
		return pid, nil
	}
	return pid, err
}

const shell = "/bin/sh"

// try starts the first of paths that the kernel executes.
func (c Child) try(paths []string, flags uintptr) (int, error) {
	p, keep, err := c.plan(paths)
	if err != nil {
		return 0, err
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return 0, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(ends[0])
	p.flags, p.pipe = flags|uintptr(unix.SIGCHLD), uintptr(ends[1])
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, errno := fork(p)
	afterFork()
	runtime.KeepAlive(keep)
	unix.Close(ends[1]) // or the pipe would have no end
	if errno != 0 {
		return 0, &Error{Step: "fork", Errno: errno}
	}
	r, failed := readReport(ends[0])
	if !failed {
		return int(pid), nil
	}
	e := &Error{Step: steps[r.step], Errno: syscall.Errno(r.errno)}
	if r.step == stepExec {
		e.Paths = paths[:min(int(r.path)+1, len(paths))]
	}
	for {
		if _, err := unix.Wait4(int(pid), nil, unix.WALL, nil); !errors.Is(err, unix.EINTR) {
			return 0, e
		}
	}
}

// readReport waits until the child has executed, which closes its end of the pipe, or
// has failed. A child that was killed before that has no report, but an exit.
func readReport(fd int) (r report, failed bool) {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r))
	for {
		n, err := unix.Read(fd, bytes)
		if !errors.Is(err, unix.EINTR) { // a signal that we forward
			return r, n == len(bytes) && r.step <= stepExec
		}
	}
}
