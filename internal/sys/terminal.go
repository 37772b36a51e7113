// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// IsTerminal reports whether fd is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// TakeForeground makes the caller's process group the terminal's foreground
// group. SIGTTOU is blocked on this thread meanwhile, because it would stop a
// background group that asks (tcsetpgrp(3)). The caller has locked its thread.
func TakeForeground(tty int) error { return GiveForeground(tty, unix.Getpgrp()) }

// GiveForeground does the same as TakeForeground for another group of our session.
func GiveForeground(tty, group int) error {
	return os.NewSyscallError("tcsetpgrp", withoutTTOU(func() error {
		return unix.IoctlSetPointerInt(tty, unix.TIOCSPGRP, group)
	}))
}

// IsControlling reports whether fd is our controlling terminal.
func IsControlling(fd int) bool {
	_, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil
}

// Foreground reports whether fd is our controlling terminal and our process group is
// its foreground group.
func Foreground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// LeadsSession reports whether we are our session's leader. If we are, no shell of
// the session could continue us.
func LeadsSession() bool {
	session, err := unix.Getsid(0)
	return err == nil && session == os.Getpid()
}

// withoutTTOU calls f while SIGTTOU is blocked on this thread, which the caller has
// locked.
func withoutTTOU(f func() error) error {
	var block, old unix.Sigset_t
	sigaddset(&block, unix.SIGTTOU)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old); err != nil {
		return err
	}
	err := f()
	if e := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); e != nil && err == nil {
		err = e
	}
	return err
}

func sigaddset(set *unix.Sigset_t, sig unix.Signal) {
	n := uint(sig) - 1
	set.Val[n/64] |= 1 << (n % 64)
}
