// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Fork describes a child that executes a program. Descriptors of ours that are not
// close-on-exec stay open in it.
//
// The child has a copy of our memory, and we do not sleep until it has executed. Package
// syscall forks with CLONE_VM and CLONE_VFORK instead. Such a child shares our memory while
// it has the ids of another user already. A process of that user can stop or starve it,
// and our thread sleeps for as long. It can send it a signal that dumps core, of which
// Linux before 5.16 kills every process that shares the memory.
type Fork struct {
	Path      string
	Argv, Env []string
	Dir       string              // "": ours
	Files     []uintptr           // they become the descriptors from 0 on
	Session   bool                // it leads a session of its own, otherwise a process group
	User      *syscall.Credential // nil: our own user
	Mask      uint64              // blocked signals: bit n-1 is signal n
	Nofile    *syscall.Rlimit     // nil, or if the kernel refuses it: ours
	Pidfd     bool                // return a pidfd, if the kernel has them
}

// Forked is a child that has been forked and may not have executed its program yet.
type Forked struct {
	PID   int
	Pidfd int // -1 if there is none; the caller owns it
	pipe  int // until Await; the child has the other end, which closes when it executes
}

// Start forks. Every signal has its default action in the child. The caller must Await it,
// and reap it unless Await returns an error.
func (f Fork) Start() (*Forked, error) {
	p, err := f.plan()
	if err != nil {
		return nil, err
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	defer unix.Close(ends[1]) // or the pipe would have no end
	p.pipe = uintptr(ends[1])
	syscall.ForkLock.Lock() // a descriptor may not be close-on-exec yet
	pid, errno := forkChild(p)
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(f)
	if errno != 0 {
		unix.Close(ends[0])
		return nil, errno
	}
	return &Forked{PID: int(pid), Pidfd: int(p.pidfd), pipe: ends[0]}, nil
}

// Await waits until the child has executed its program. If it has failed, the error is that
// of its system call, and the child is killed, and reaped if it ends within bound. If it
// has done neither within bound, Await returns without an error, and the child has ended
// or goes on.
func (c *Forked) Await(bound time.Duration) error {
	errno := awaitExec(c.pipe, bound)
	unix.Close(c.pipe)
	if errno == 0 {
		return nil
	}
	if c.Pidfd >= 0 {
		unix.Close(c.Pidfd)
	}
	unix.Kill(c.PID, unix.SIGKILL) // it ends anyway, unless another process has stopped it
	for by := time.Now().Add(bound); time.Now().Before(by); time.Sleep(reapPause) {
		if pid, err := unix.Wait4(c.PID, nil, unix.WNOHANG|unix.WALL, nil); pid != 0 && err != unix.EINTR {
			break
		}
	}
	return errno
}

const reapPause = 50 * time.Microsecond

// forkPlan is a Fork as the kernel takes it. The child must not allocate, because another
// thread of ours may have held a lock of the allocator.
type forkPlan struct {
	path    *byte
	argv    []*byte // nil at the end
	env     []*byte
	dir     *byte
	files   []uintptr
	session bool
	cred    *syscall.Credential
	groups  *uint32
	mask    uint64
	nofile  *syscall.Rlimit
	flags   uintptr
	pidfd   int32
	pipe    uintptr // where the child writes the errno of its failure
	action  [4]uint64
	errno   uint32
}

func (f Fork) plan() (p *forkPlan, err error) {
	p = &forkPlan{files: append([]uintptr(nil), f.Files...), session: f.Session, cred: f.User, mask: f.Mask, nofile: f.Nofile, pidfd: -1,
		flags: uintptr(unix.SIGCHLD)}
	if f.Pidfd {
		p.flags |= unix.CLONE_PIDFD
	}
	if f.User != nil && len(f.User.Groups) > 0 {
		p.groups = &f.User.Groups[0]
	}
	p.path, err = syscall.BytePtrFromString(f.Path)
	if err == nil && f.Dir != "" {
		p.dir, err = syscall.BytePtrFromString(f.Dir)
	}
	if err == nil {
		p.argv, err = syscall.SlicePtrFromStrings(f.Argv)
	}
	if err == nil {
		p.env, err = syscall.SlicePtrFromStrings(f.Env)
	}
	return p, err
}

// awaitExec waits until the child has executed, which closes its end of the pipe, or has
// failed, and returns the errno of its failure. It gives up after bound. It keeps the
// processor of Go's scheduler meanwhile, as it is only for a moment: to hand it over and
// to get it back takes longer.
func awaitExec(fd int, bound time.Duration) syscall.Errno {
	for by := time.Now().Add(bound); ; {
		left := max(time.Until(by), 0)
		fds := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		limit := unix.NsecToTimespec(int64(left))
		n, _, e := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
		switch {
		case e == 0 && n > 0:
			var errno uint32 // nothing is read if it has executed, or was killed
			unix.Read(fd, (*[4]byte)(unsafe.Pointer(&errno))[:])
			return syscall.Errno(errno)
		case left == 0:
			return 0
		}
	}
}
