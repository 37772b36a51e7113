// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// AsFileOwner runs f with the file access of uid and gid, and with no capability. Root
// without CAP_DAC_OVERRIDE opens another user's 0400 file that way, or makes a file that
// belongs to that user, and stays root. The rules of AsUser hold. uid must not be 0,
// because f would have all rights of root.
func AsFileOwner(uid, gid uint32, f func() error) error {
	if uid == 0 {
		return os.NewSyscallError("setresuid", syscall.EINVAL)
	}
	return AsUser(context.Background(), uid, gid, nil, f)
}

// ErrNoIDs means that this process may not take the ids of another user.
var ErrNoIDs = errors.New("the exec needs SETUID and SETGID")

// AsUser runs f with the effective ids uid and gid, and in the network namespace network
// unless that is nil. One locked thread takes them, calls f and takes its own ids back.
// With another uid than 0 the thread has no capability meanwhile. f may do what the kernel
// decides by effective ids, as that user may: open files, and read all of /proc/PID of a
// process of uid and gid that may be traced (ptrace(2), PTRACE_MODE_READ_FSCREDS). To enter
// a network namespace takes CAP_SYS_ADMIN, there and here.
//
// Real and saved ids stay those of the process. The kernel compares these when a process
// wants to signal us (kill(2): the target's real or saved uid) or to trace us (ptrace(2):
// all three), so a process of uid can do neither, before, during or after. setfsuid(2)
// would be enough, but gVisor does not have it. Supplementary groups remain those of the
// process.
//
// The kernel sets dumpable to the value of fs.suid_dumpable whenever effective ids change
// (prctl(2)). With 1 the files of the thread in /proc would be uid's, which could for
// example raise the OOM score of this process. So AsUser makes this process not dumpable
// before f runs and after the end, also if it was dumpable before. Nothing of that allows
// uid to trace us in the microseconds between.
//
// If ctx ends first, AsUser leaves f alone and returns the error of ctx, because a read of
// /proc may hang. f stays on its goroutine and starts no process. A thread that could not
// take its ids back, or that has entered a network namespace, is not used again. The first
// thread is not used at all, because /proc/PID/status shows its ids as those of the process.
// If the ids could not be taken back, that is an error even if f returned none.
func AsUser(ctx context.Context, uid, gid uint32, network *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // ends with the goroutine unless it is unlocked
		if unix.Gettid() == unix.Getpid() {
			done <- AsUser(ctx, uid, gid, network, f) // on another thread, because this one is locked
			runtime.UnlockOSThread()
			return
		}
		ownUID, ownGID := uint32(syscall.Geteuid()), uint32(syscall.Getegid())
		var err error
		if network != nil {
			err = enterNetwork(network)
		}
		if err == nil {
			if err = takeEffective(uid, gid); err != nil {
				err = fmt.Errorf("cannot become uid %d: %w: %w", uid, err, ErrNoIDs)
			}
		}
		if err == nil {
			err = SetDumpable(false)
		}
		if err == nil {
			err = f()
		}
		back := errors.Join(takeEffective(ownUID, ownGID), SetDumpable(false))
		if back == nil && network == nil {
			runtime.UnlockOSThread()
		}
		done <- errors.Join(err, back)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enterNetwork takes this thread, which is locked, into the network namespace that f is
// open on (setns(2)).
func enterNetwork(f *os.File) error {
	err := retry("setns", func() error { return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET) })
	runtime.KeepAlive(f)
	if err != nil {
		err = fmt.Errorf("cannot enter another network namespace: %w: that takes CAP_SYS_ADMIN", err)
	}
	return err
}

// takeEffective changes the effective ids of this thread alone and reads them
// back; package syscall would change every thread. Only while the effective uid
// is 0 is there a capability to change the gid.
func takeEffective(uid, gid uint32) error {
	steps := []func() error{func() error { return setEffective("setresgid", syscall.SYS_SETRESGID, gid) },
		func() error { return setEffective("setresuid", syscall.SYS_SETRESUID, uid) }}
	if uid == 0 {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	if syscall.Geteuid() != int(uid) || syscall.Getegid() != int(gid) {
		return os.NewSyscallError("setresuid", syscall.EPERM)
	}
	return nil
}

func setEffective(name string, trap uintptr, id uint32) error {
	const keep = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(trap, keep, uintptr(id), keep); errno != 0 {
		return os.NewSyscallError(name, errno)
	}
	return nil
}
