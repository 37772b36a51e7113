// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"syscall"
)

// AsFileOwner runs f with the file access of uid and gid, and with no capability.
// One locked thread takes them as its effective ids, calls f and takes its own ids
// back. Root without CAP_DAC_OVERRIDE opens another user's 0400 file that way, or
// makes a file that belongs to that user, and stays root.
//
// Real and saved ids stay 0. The kernel compares these when a process wants to
// signal us (kill(2): the target's real or saved uid) or to trace us (ptrace(2): all
// three), so a process of uid can do neither, before, during or after. setfsuid(2)
// would be enough for files, but gVisor does not have it. Supplementary groups
// remain those of root.
//
// f stays on its goroutine and starts no process. The kernel resets dumpable to a
// sysctl's value whenever effective ids change (prctl(2)), so it is restored here. A
// thread that could not take its ids back is not used again, and the error says so
// even if f returned none.
func AsFileOwner(uid, gid uint32, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // ends with the goroutine unless it is unlocked
		dumpable, err := Dumpable()
		if err == nil && uid == 0 {
			err = os.NewSyscallError("setresuid", syscall.EINVAL) // it would be root, with all rights of root
		}
		if err == nil {
			err = takeEffective(uid, gid)
		}
		if err == nil {
			err = f()
		}
		back := errors.Join(takeEffective(0, 0), SetDumpable(dumpable))
		if back == nil {
			runtime.UnlockOSThread()
		}
		done <- errors.Join(err, back)
	}()
	return <-done
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
