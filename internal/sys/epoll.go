// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Events of Epoll.
const (
	In      = unix.EPOLLIN
	Out     = unix.EPOLLOUT
	PeerEnd = unix.EPOLLRDHUP
	Hangup  = unix.EPOLLHUP
	Fault   = unix.EPOLLERR
	Edge    = unix.EPOLLET
)

// Ready is what epoll_wait(2) reports about one descriptor. Fd and Pad are the two
// numbers that were given to Add.
type Ready = unix.EpollEvent

// Epoll is an epoll(7) instance, for one goroutine.
type Epoll struct {
	fd     int
	coarse bool // the kernel has no epoll_pwait2 (before Linux 5.11)
}

// NewEpoll opens an epoll instance.
func NewEpoll() (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &Epoll{fd: fd}, nil
}

// Close closes the instance.
func (e *Epoll) Close() { unix.Close(e.fd) }

// Add watches fd for events. Fault and Hangup are always reported. A descriptor that is
// closed is no longer watched.
func (e *Epoll) Add(fd int, events uint32, a, b int32) error {
	ev := Ready{Events: events, Fd: a, Pad: b}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &ev))
}

// Change watches fd, which is watched already, for other events. What is ready already
// is reported again.
func (e *Epoll) Change(fd int, events uint32, a, b int32) error {
	ev := Ready{Events: events, Fd: a, Pad: b}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(e.fd, unix.EPOLL_CTL_MOD, fd, &ev))
}

// Remove stops watching fd.
func (e *Epoll) Remove(fd int) { _ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, fd, &Ready{}) }

// Wait waits for events, at most for a time, or without end if that is negative. Before
// Linux 5.11 a wait of less than a millisecond takes one. EINTR gives no event.
func (e *Epoll) Wait(events []Ready, limit time.Duration) ([]Ready, error) {
	var n uintptr
	errno := unix.Errno(0)
	first := unsafe.Pointer(&events[0])
	switch {
	case limit == 0: // it does not wait, so Go's scheduler need not know
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(first), uintptr(len(events)), 0, 0, 0)
	case limit > 0 && !e.coarse:
		ts := unix.NsecToTimespec(int64(limit))
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(e.fd), uintptr(first), uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno == unix.ENOSYS || errno == unix.EPERM { // EPERM: an old seccomp profile
			e.coarse = true
			return e.Wait(events, limit)
		}
	default:
		ms := -1
		if limit > 0 {
			ms = int((limit + time.Millisecond - 1) / time.Millisecond)
		}
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(first), uintptr(len(events)), uintptr(ms), 0, 0)
	}
	switch errno {
	case 0:
		return events[:n], nil
	case unix.EINTR:
		return nil, nil
	}
	return nil, os.NewSyscallError("epoll_wait", errno)
}

// EventFD returns a descriptor by which one thread wakes another one (eventfd(2)).
func EventFD() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return fd, os.NewSyscallError("eventfd", err)
}

// Ring makes the event descriptor readable.
func Ring(fd int) {
	one := [8]byte{1}
	_, _ = unix.Write(fd, one[:]) // it fails only if it is readable already
}

// Hear makes the event descriptor not readable again.
func Hear(fd int) {
	var b [8]byte
	_, _ = unix.Read(fd, b[:])
}
