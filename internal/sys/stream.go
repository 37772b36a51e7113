// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Errno is the error of the functions in this file, which make no garbage. 0 is success.
type Errno = unix.Errno

// ListenerAddr returns the address of fd if it is a TCP socket that listens.
func ListenerAddr(fd int) (netip.AddrPort, error) {
	for option, want := range map[int]int{unix.SO_TYPE: unix.SOCK_STREAM, unix.SO_PROTOCOL: unix.IPPROTO_TCP, unix.SO_ACCEPTCONN: 1} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return netip.AddrPort{}, os.NewSyscallError("getsockopt", err)
		}
		if got != want {
			return netip.AddrPort{}, os.NewSyscallError("accept", unix.EINVAL)
		}
	}
	return LocalAddr(fd)
}

// Tuning holds the options of a relayed connection.
type Tuning struct {
	Idle     time.Duration // without a byte, before the kernel asks whether the peer is there
	Patience time.Duration // for a peer that takes nothing of what it was sent
	Buffer   int           // bytes for either direction, which the kernel doubles for its own needs
}

// Tune sets these options, and TCP_NODELAY. It also makes the end abortive: until
// Graceful, close(2) and the end of this process reset the connection. Sockets that a
// listener accepts inherit all of this. Buffers of a fixed size bound what a peer that
// does not read can hold, and are as fast within a machine, because they fit into the
// processor's cache.
func Tune(fd int, t Tuning) error {
	seconds := int(t.Idle / time.Second)
	for _, o := range [...]struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(seconds/4, 1)},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(t.Patience / time.Millisecond)},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, t.Buffer},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, t.Buffer},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return setLinger(fd, true)
}

// IsAbortive reports whether close(2) resets the connection, which Tune has asked for.
func IsAbortive(fd int) bool {
	var l unix.Linger
	size := uint32(unsafe.Sizeof(l))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&l)), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0 && l.Onoff != 0 && l.Linger == 0
}

func setLinger(fd int, abort bool) error {
	l := unix.Linger{}
	if abort {
		l.Onoff = 1
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l))
}

// Graceful makes close(2) send the remaining bytes and an ordinary end.
func Graceful(fd int) { _ = setLinger(fd, false) }

// Accept takes a connection from a listener that does not block, and returns its
// descriptor and its peer.
func Accept(listener int) (fd int, peer netip.AddrPort, errno Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, peer, errno
	}
	peer, _ = addrPort(&sa)
	return int(n), peer, 0
}

// SetNonBlocking makes calls with fd not wait. The other holders of the file
// description share that.
func SetNonBlocking(fd int) error { return os.NewSyscallError("fcntl", unix.SetNonblock(fd, true)) }

// Connect begins a connection that does not block, from an address or, if that is not
// valid, from one that the kernel chooses. Plain TCP is named, because MPTCP is not what
// is looked up later. The caller owns fd.
func Connect(from netip.Addr, to netip.AddrPort, t Tuning) (fd int, errno Errno) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	if err != nil {
		return -1, errnoOf(err)
	}
	if err = Tune(fd, t); err == nil && from.IsValid() {
		err = bindFrom(fd, from)
	}
	if err == nil {
		err = unix.Connect(fd, sockaddr(to))
	}
	if err == unix.EINPROGRESS || err == unix.EINTR {
		err = nil
	}
	if err != nil {
		unix.Close(fd)
		return -1, errnoOf(err)
	}
	return fd, 0
}

// errnoOf returns the number in an error of this package.
func errnoOf(err error) Errno {
	if e, ok := err.(*os.SyscallError); ok {
		err = e.Err
	}
	if e, ok := err.(Errno); ok {
		return e
	}
	return unix.EIO
}

// Failure returns the pending error of a socket, and removes it there (SO_ERROR).
func Failure(fd int) Errno {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return errnoOf(err)
	}
	return Errno(n)
}

// IsWritable reports whether fd can be written to now, or is connected, or has an error.
func IsWritable(fd int) bool { return isReady(fd, unix.POLLOUT) }

func isReady(fd int, events int16) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Ppoll(p[:], &unix.Timespec{}, nil)
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}

// RecvNow reads what is there. n is 0 at the end of the stream, and the error is EAGAIN
// if there is nothing.
func RecvNow(fd int, b []byte) (n int, errno Errno) { return receive(fd, b, unix.MSG_DONTWAIT) }

// PeekNow is RecvNow, and leaves the bytes there.
func PeekNow(fd int, b []byte) (n int, errno Errno) {
	return receive(fd, b, unix.MSG_DONTWAIT|unix.MSG_PEEK)
}

// DiscardNow removes as many bytes as b has, without copying them into it.
func DiscardNow(fd int, b []byte) (n int, errno Errno) {
	return receive(fd, b, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
}

// These calls never wait, so Go's scheduler need not know of them.
func receive(fd int, b []byte, flags int) (int, Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// SendNow writes as many bytes of b as the socket takes now. The error is EAGAIN if it
// takes none.
func SendNow(fd int, b []byte) (int, Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// EndWriting sends the end of our half of a connection.
func EndWriting(fd int) { _ = unix.Shutdown(fd, unix.SHUT_WR) }
