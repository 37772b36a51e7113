package sys

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const childStopped = 5 // CLD_STOPPED

// Await is Peek that waits: it returns when a child has ended, and with stops
// also when one was stopped, then with the signal that did it. Nothing is
// reaped; see Reap and TakeStop. ECHILD: there is no child. EINTR: a signal came
// whose handler does not restart calls.
func Await(stops bool) (pid int, stop unix.Signal, err error) {
	options := unix.WEXITED | unix.WNOWAIT | unix.WALL
	if stops {
		options |= unix.WSTOPPED
	}
	var si siginfo
	if err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&si)), options, nil); err != nil {
		return 0, 0, os.NewSyscallError("waitid", err)
	}
	if si.code == childStopped {
		stop = unix.Signal(si.status)
	}
	return int(si.pid), stop, nil
}

// TakeStop takes the stop of a child that Await returned, so that it is not
// returned again. A child that goes on already has none to take.
func TakeStop(pid int) error {
	return retry("waitid", func() error {
		return unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOHANG|unix.WALL, nil)
	})
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
