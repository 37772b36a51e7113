// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exit says how a child ended. It keeps the raw wait status until a caller needs the
// exit code.
type Exit struct {
	PID    int
	Status unix.WaitStatus
}

// Code returns the exit code that a shell would report, which is 128+n for signal n.
func (e Exit) Code() int {
	if e.Status.Signaled() {
		return 128 + int(e.Status.Signal())
	}
	return e.Status.ExitStatus()
}

// siginfo is siginfo_t as waitid(2) fills it on 64-bit Linux; unix.Siginfo has
// no fields for it.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	uid                uint32
	status             int32
	_                  [128 - 28]byte
}

// Peek returns the pid of a child that has ended, without reaping it. Until Reap is
// called, neither its pid nor its pidfd can mean another process. The pid is 0 if no
// child has ended or there is no child. Peek never blocks. Because of __WALL, a
// child made by clone(2) with another exit signal counts too.
func Peek() (pid int, err error) {
	var si siginfo
	err = retry("waitid", func() error {
		return unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&si)),
			unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil)
	})
	if isErrno(err, unix.ECHILD) {
		return 0, nil
	}
	return int(si.pid), err
}

// Stopped returns the signal that has stopped the child since the last call, or 0. It
// never blocks.
func Stopped(pid int) (unix.Signal, error) {
	var si siginfo
	err := retry("waitid", func() error {
		return unix.Waitid(unix.P_PID, pid, (*unix.Siginfo)(unsafe.Pointer(&si)), unix.WSTOPPED|unix.WNOHANG|unix.WALL, nil)
	})
	if err != nil || si.code != childStopped {
		return 0, err
	}
	return unix.Signal(si.status), nil
}

// Reap reaps a child that Peek returned, and returns its exit. Its pid is free
// afterwards.
func Reap(pid int) (Exit, error) {
	var status unix.WaitStatus
	err := retry("wait4", func() error {
		_, err := unix.Wait4(pid, &status, unix.WNOHANG|unix.WALL, nil)
		return err
	})
	return Exit{PID: pid, Status: status}, err
}
