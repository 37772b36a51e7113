// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forkChild forks, and returns in the parent only. The child does everything in this frame,
// by raw system calls alone. It has one thread, so it must not need a lock, the allocator,
// the scheduler or a bigger stack. The function cannot grow the stack (nosplit), and all
// signals are blocked from before the fork on. So no handler of ours runs in the child, and
// the runtime cannot take the thread away from the parent.
//
//go:noinline
//go:norace
//go:nosplit
//go:nocheckptr
func forkChild(p *forkPlan) (pid uintptr, errno syscall.Errno) {
	var old uint64
	var i, fd uintptr
	all := ^uint64(0)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, p.flags, 0, uintptr(unsafe.Pointer(&p.pidfd)), 0, 0, 0)
	if errno != 0 || pid != 0 {
		syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
		return pid, errno
	}

	if p.session {
		_, _, errno = syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	} else {
		_, _, errno = syscall.RawSyscall(unix.SYS_SETPGID, 0, 0, 0)
	}
	if errno != 0 {
		goto failed
	}
	if p.cred != nil {
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(p.cred.Groups)), uintptr(unsafe.Pointer(p.groups)), 0); errno != 0 {
			goto failed
		}
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETRESGID, uintptr(p.cred.Gid), uintptr(p.cred.Gid), uintptr(p.cred.Gid)); errno != 0 {
			goto failed
		}
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(p.cred.Uid), uintptr(p.cred.Uid), uintptr(p.cred.Uid)); errno != 0 {
			goto failed
		}
		// The kernel gives changed ids the value of fs.suid_dumpable. With 1 the user could
		// read the copy of our memory, with 2 a signal would write it to a core file.
		if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0); errno != 0 {
			goto failed
		}
	}
	if p.dir != nil {
		if _, _, errno = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(p.dir)), 0, 0); errno != 0 {
			goto failed
		}
	}

	// First each descriptor goes out of the way that another one is to replace before it is
	// duplicated. All other descriptors are close-on-exec.
	if p.pipe < uintptr(len(p.files)) {
		if p.pipe, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, p.pipe, unix.F_DUPFD_CLOEXEC, uintptr(len(p.files))); errno != 0 {
			goto failed // without a word: the child seems to be killed
		}
	}
	for i = 0; i < uintptr(len(p.files)); i++ {
		if p.files[i] < i {
			if p.files[i], _, errno = syscall.RawSyscall(unix.SYS_FCNTL, p.files[i], unix.F_DUPFD_CLOEXEC, uintptr(len(p.files))); errno != 0 {
				goto failed
			}
		}
	}
	for i = 0; i < uintptr(len(p.files)); i++ {
		if fd = p.files[i]; fd == i {
			_, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, fd, unix.F_SETFD, 0)
		} else {
			_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, fd, i, 0)
		}
		if errno != 0 {
			goto failed
		}
	}
	if p.nofile != nil { // an old seccomp profile may refuse it, and the child works with our limit, too
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(p.nofile)), 0, 0, 0)
	}

	for i = 1; i <= 64; i++ { // SIGKILL and SIGSTOP refuse
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, i, uintptr(unsafe.Pointer(&p.action)), 0, 8, 0, 0)
	}
	// Signals that came for the child meanwhile are delivered now.
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&p.mask)), 0, 8, 0, 0)
	_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p.path)), uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.env[0])))
failed:
	p.errno = uint32(errno)
	syscall.RawSyscall(unix.SYS_WRITE, p.pipe, uintptr(unsafe.Pointer(&p.errno)), 4)
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}
