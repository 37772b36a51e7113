package sys

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of si_code (waitid(2)).
const (
	childExited  = 1 // CLD_EXITED
	childStopped = 5 // CLD_STOPPED
)

// Event is what became of a child: it has ended, with the exit code that a shell
// would report, or Stop is the signal that stopped it.
type Event struct {
	PID, Code int
	Stop      unix.Signal
}

// Wait waits until a child has ended, and reaps it; with stops also until one was
// stopped. One call for both: as PID 1 it is made for every process of the
// container. After it the pid may be somebody else's. ECHILD: there is no child.
// EINTR: a signal came whose handler does not restart calls.
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
// for good: who waits in a system call is sure to look up, and cannot miss the
// one signal just before the call. The caller stays on its thread
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
