// SPDX-License-Identifier: Apache-2.0

package vfork

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// beforeFork and afterFork are the functions that package syscall calls around a
// fork. Between them all signals are blocked, so that none of our handlers runs in
// the child, and a grown stack is a crash and not a corruption. The runtime keeps
// the names for other packages.
//
//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

// clone calls clone(2) with flags and no stack. With CLONE_VM the child goes on with
// our stack while we wait (CLONE_VFORK). An emulator may take both flags away.
func clone(flags uintptr) (pid, errno uintptr)

// fork returns in the parent only, when the child has executed or ended. It returns at once
// without CLONE_VM and CLONE_VFORK, and from an emulator that makes vfork(2) a fork(2)
// (qemu-user). A child that fails writes its report to a pipe, because there it does not
// share our memory. Otherwise the
// child shares memory and stack with the parent, so it does everything in this
// frame, and the parent leaves the frame at once. The child must not allocate, lock,
// store a pointer or grow the stack, and makes only calls that need none of that.
//
//go:noinline
//go:norace
//go:nocheckptr
func fork(p *plan) (pid uintptr, errno syscall.Errno) {
	var denied syscall.Errno
	beforeFork() // the caller calls afterFork
	pid, e := clone(p.flags)
	if e != 0 || pid != 0 {
		return pid, syscall.Errno(e)
	}

	// The child gets a process group of its own, so that a signal of the terminal
	// reaches it once, and from us once more only if we were sent it too.
	if _, _, errno = syscall.RawSyscall(unix.SYS_SETPGID, 0, 0, 0); errno != 0 {
		p.report.step = stepGroup
		goto failed
	}
	if p.take { // SIGTTOU is blocked, or this would stop us
		pid, _, _ = syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		p.pgrp = int32(pid)
		if _, _, errno = syscall.RawSyscall(unix.SYS_IOCTL, p.terminal, unix.TIOCSPGRP, uintptr(unsafe.Pointer(&p.pgrp))); errno != 0 {
			p.report.step = stepTerminal
			goto failed
		}
	}
	if p.drop {
		// Without CAP_SETPCAP the set stays, but no_new_privs keeps its capabilities
		// from being gained, by root too (capabilities(7)).
		for c := uintptr(0); c < 64; c++ { // EINVAL: past the kernel's last one
			if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0, 0); errno != 0 && errno != unix.EINVAL && errno != unix.EPERM {
				p.report.step = stepBounding
				goto failed
			}
		}
	}
	if p.become {
		var groups uintptr
		if len(p.groups) > 0 {
			groups = uintptr(unsafe.Pointer(&p.groups[0]))
		}
		_, _, errno = syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(p.groups)), groups, 0)
		kept := errno == unix.EPERM && p.ours
		if errno != 0 && !kept {
			p.report.step = stepGroups
			goto failed
		}
		if !kept {
			if _, _, errno = syscall.RawSyscall(unix.SYS_SETRESGID, p.gid, p.gid, p.gid); errno != 0 {
				p.report.step = stepGID
				goto failed
			}
		}
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETRESUID, p.uid, p.uid, p.uid); errno != 0 {
			p.report.step = stepUID
			goto failed
		}
		// The kernel gives changed ids the value of fs.suid_dumpable. With 1 the user could
		// read the copy of our memory, with 2 a signal would write it to a core file.
		if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0); errno != 0 {
			p.report.step = stepClose
			goto failed
		}
	}
	if p.drop {
		if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0); errno != 0 {
			p.report.step = stepAmbient
			goto failed
		}
		if _, _, errno = syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&p.header)), uintptr(unsafe.Pointer(&p.caps)), 0); errno != 0 {
			p.report.step = stepCaps
			goto failed
		}
		if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
			p.report.step = stepPrivs
			goto failed
		}
	}
	if p.nofile != nil {
		if _, _, errno = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(p.nofile)), 0, 0, 0); errno != 0 {
			p.report.step = stepLimit
			goto failed
		}
	}
	for sig := uintptr(1); sig <= 64; sig++ { // SIGKILL and SIGSTOP refuse
		p.action[0] = uint64(p.ignored >> (sig - 1) & 1) // SIG_DFL or SIG_IGN
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&p.action)), 0, 8, 0, 0)
	}
	// Signals that came for the child meanwhile are delivered now.
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&p.mask)), 0, 8, 0, 0)

	p.report.step = stepExec
	for i, path := range p.paths {
		p.report.path = uint32(i)
		_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, path, uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.env[0])))
		switch errno {
		case unix.EACCES:
			denied = errno
		case unix.ENOENT, unix.ENOTDIR:
		default:
			goto failed
		}
	}
	if denied != 0 {
		errno = denied
	}
failed:
	p.report.errno = uint32(errno)
	syscall.RawSyscall(unix.SYS_WRITE, p.pipe, uintptr(unsafe.Pointer(&p.report)), unsafe.Sizeof(p.report))
	for {
		syscall.RawSyscall(unix.SYS_EXIT, 127, 0, 0)
	}
}
