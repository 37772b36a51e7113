// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func isErrno(err error, errno unix.Errno) bool { return errors.Is(err, errno) }

// PidfdOpen calls pidfd_open(2), Linux 5.3. The caller owns the descriptor.
func PidfdOpen(pid int) (fd int, err error) {
	err = retry("pidfd_open", func() (err error) {
		fd, err = unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
		return err
	})
	return fd, err
}

// PidfdSignal calls pidfd_send_signal(2), Linux 5.1. The error is ESRCH if the
// process has ended.
func PidfdSignal(fd int, sig unix.Signal) error {
	return retry("pidfd_send_signal", func() error { return unix.PidfdSendSignal(fd, sig, nil, 0) })
}

// PidfdSignalGroup sends sig to the process group of the pidfd's process, which leads it
// (PIDFD_SIGNAL_PROCESS_GROUP, pidfd_send_signal(2)). Unlike the number of a group, a
// pidfd never means another group, also when the leader was reaped. The error is ESRCH
// if the group has no member, and EINVAL before Linux 6.9.
func PidfdSignalGroup(fd int, sig unix.Signal) error {
	return retry("pidfd_send_signal", func() error {
		return unix.PidfdSendSignal(fd, sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
	})
}

// Kill calls kill(2). It is only for a child that was not reaped yet (its pid cannot
// have been recycled), for the group of such a child, or for -1.
func Kill(pid int, sig unix.Signal) error {
	return retry("kill", func() error { return unix.Kill(pid, sig) })
}

// Tick is the unit of start times in /proc. USER_HZ is 100 wherever Go runs.
const Tick = time.Second / 100

// BootTicks returns the time since boot in the form of start times
// (proc_pid_stat(5)), which includes suspension and the offset of our time namespace.
func BootTicks() uint64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail, because Linux has the clock since 2.6.39
	return uint64(time.Duration(ts.Nano()) / Tick)
}

// StopSelf stops the process and returns when it was continued. The signal goes to
// the calling thread, which has locked itself. If it went to the whole process,
// another thread might act on it, and the caller would run on for a moment.
func StopSelf() {
	unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) // cannot fail, because the target is the caller
}

// UserAlive reports whether any process, zombies included, has the real uid in our
// pid namespace. getpriority(2) with PRIO_USER looks through the kernel's own list,
// and needs no right and no /proc. ESRCH means that there is no such process.
// PRIO_USER reads 0 as our own uid, so uid must not be 0.
func UserAlive(uid uint32) (bool, error) {
	err := retry("getpriority", func() error {
		_, err := unix.Getpriority(unix.PRIO_USER, int(uid))
		return err
	})
	if isErrno(err, unix.ESRCH) {
		return false, nil
	}
	return err == nil, err
}

// spareUID returns a uid that no process in our pid namespace has, or uid if none is
// found. 65534 and 65532 are not tried, because images use them.
func spareUID(uid uint32) uint32 {
	for _, c := range []uint32{65533, 65531, 65530, 65529, 65528} {
		if alive, err := UserAlive(c); c != uid && err == nil && !alive {
			return c
		}
	}
	return uid
}

// KillUser sends sig to every process that uid may signal, as the kernel decides it,
// and to no other. One locked thread takes uid as its effective uid (saved uid stays
// 0), which empties its effective capabilities, calls kill(-1, sig) and takes its own
// ids back. kill(-1) runs under the kernel's task list lock, so with SIGKILL no process
// of uid can escape by a fork; it spares us.
//
// Meanwhile the thread's real uid is one that no process has. A process may signal a
// thread whose real or saved uid is its own (kill(2)), so with uid as the real uid every
// process of uid could send a SIGTERM to us.
//
// The caller must be uid 0 with CAP_SETUID, and uid must not be 0. If the thread
// cannot take its ids back it is not used again, because the goroutine ends locked.
func KillUser(uid uint32, sig unix.Signal) error {
	if uid == 0 {
		return os.NewSyscallError("setresuid", unix.EINVAL)
	}
	spare := spareUID(uid)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // no new thread is ever cloned from a locked one
		// syscall.Setresuid would change every thread; the raw call changes one.
		const keep = ^uintptr(0)
		_, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(spare), uintptr(uid), keep)
		if e == syscall.EINVAL { // the user namespace does not map the spare uid
			_, _, e = syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), keep)
		}
		if e != 0 {
			done <- os.NewSyscallError("setresuid", e)
			return
		}
		_, _, killErr := syscall.RawSyscall(syscall.SYS_KILL, ^uintptr(0), uintptr(sig), 0)
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, 0, 0, keep); e != 0 {
			done <- os.NewSyscallError("setresuid", e)
			return
		}
		runtime.UnlockOSThread()
		if killErr != 0 && killErr != syscall.ESRCH { // ESRCH: no process but ours in the namespace
			done <- os.NewSyscallError("kill", killErr)
			return
		}
		done <- nil
	}()
	return <-done
}

// SetSubreaper makes orphaned descendants our children (prctl(2), Linux 3.4).
func SetSubreaper() error {
	return retry("prctl", func() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
}

// Subreaper reports whether we are a subreaper. The setting survives execve(2).
func Subreaper() bool {
	var v int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&v)), 0, 0, 0)
	return err == nil && v == 1
}

// SetParentDeath has the kernel send sig to us when the thread that started us
// ends (PR_SET_PDEATHSIG, prctl(2)). The caller has locked its thread.
func SetParentDeath(sig unix.Signal) error {
	return retry("prctl", func() error { return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0) })
}

// SetDumpable sets whether this process leaves a core file, may be traced and
// owns its own /proc entries (PR_SET_DUMPABLE, prctl(2)).
func SetDumpable(dumpable bool) error {
	var v uintptr
	if dumpable {
		v = 1
	}
	return retry("prctl", func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, v, 0, 0, 0) })
}

// Dumpable reports whether this process is dumpable (PR_GET_DUMPABLE, prctl(2)). The
// value 2 (readable by root only) counts as not dumpable.
func Dumpable() (bool, error) {
	v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	return v == 1, os.NewSyscallError("prctl", err)
}

// OnlyUID reports whether our real, effective and saved uids are uid.
func OnlyUID(uid uint32) bool {
	real, effective, saved := unix.Getresuid()
	id := int(uid)
	return real == id && effective == id && saved == id
}

// Memfd returns an anonymous file with data, positioned at its start. The caller
// owns the descriptor. The kernel makes such a file with mode 0777, and a process
// that may look into /proc/PID/fd of a holder could open it there. So it gets mode
// 0400 before its first byte.
func Memfd(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	err = os.NewSyscallError("fchmod", unix.Fchmod(fd, 0o400))
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openFDs lists the descriptors of this process from /proc/self/fd.
func openFDs() ([]int, error) {
	names, err := ReadNames("/proc/self/fd")
	var fds []int
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds, err
}

// Ended waits at most limit for the process of a pidfd to end, and reports whether
// it has ended, reaped or not (pidfd_open(2), poll).
func Ended(pidfd int, limit time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n := 0
	err := retry("poll", func() (err error) {
		n, err = unix.Poll(fds, int(limit.Milliseconds()))
		return err
	})
	if err == nil && n > 0 && fds[0].Revents&unix.POLLIN == 0 { // not a pidfd any more
		err = os.NewSyscallError("poll", unix.EBADF)
	}
	return n > 0 && err == nil, err
}
