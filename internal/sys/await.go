// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Values of si_code (waitid(2)).
const (
	childExited  = 1 // CLD_EXITED
	childStopped = 5 // CLD_STOPPED
)

// Event says that a child has ended or was stopped. Code is the exit code that a
// shell would report; Stop is the signal that stopped the child.
type Event struct {
	PID, Code int
	Stop      unix.Signal
}

// Wait waits until a child has ended, and reaps it. With stops it also returns when a
// child was stopped. It makes one system call for both, because PID 1 makes it for
// every process of the container. Afterwards the pid may be another process's. The
// error is ECHILD if there is no child, and EINTR after a signal whose handler does
// not restart calls.
func Wait(stops bool) (Event, error) {
	options := unix.WEXITED | unix.WALL
	if stops {
		options |= unix.WSTOPPED
	}
	var si siginfo
	if err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&si)), options, nil); err != nil {
		return Event{}, os.NewSyscallError("waitid", err)
	}
	e := Event{PID: int(si.pid)}
	switch si.code {
	case childExited:
		e.Code = int(si.status)
	case childStopped:
		e.Stop = unix.Signal(si.status)
	default: // CLD_KILLED, CLD_DUMPED
		e.Code = 128 + int(si.status)
	}
	return e, nil
}

// InterruptAfter sends sig to the calling thread after d, and then every every,
// without end. A wait in a system call is thus sure to be interrupted, even if one
// signal came just before the call. The caller stays on its thread
// (timer_create(2), SIGEV_THREAD_ID).
func InterruptAfter(d, every time.Duration, sig unix.Signal) error {
	const threadID = 4 // SIGEV_THREAD_ID
	event := struct {
		value         uint64
		signo, notify int32
		tid           int32
		_             [44]byte
	}{signo: int32(sig), notify: threadID, tid: int32(unix.Gettid())}
	var id int32
	if _, _, e := unix.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&id))); e != 0 {
		return os.NewSyscallError("timer_create", e)
	}
	when := [2]unix.Timespec{unix.NsecToTimespec(int64(every)), unix.NsecToTimespec(int64(d))}
	if _, _, e := unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(id), 0, uintptr(unsafe.Pointer(&when)), 0, 0, 0); e != 0 {
		return os.NewSyscallError("timer_settime", e)
	}
	return nil
}
