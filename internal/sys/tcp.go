// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Conn is a TCP connection for a short-lived process. Every call blocks at most
// until the deadline. It is not for PID 1.
type Conn struct {
	fd       int
	deadline time.Time
}

// DialTCP connects before the deadline. The caller closes the Conn. If another process
// uses up the ports from which a connection to an address of 127.0.0.0/8 can come, it
// comes from another address of this network.
func DialTCP(to netip.AddrPort, deadline time.Time) (*Conn, error) {
	return DialTCPFrom(netip.Addr{}, to, deadline)
}

// DialTCPFrom is DialTCP from an address of this machine, if that is valid.
func DialTCPFrom(from netip.Addr, to netip.AddrPort, deadline time.Time) (*Conn, error) {
	c, err := dialFrom(from, to, deadline)
	if isErrno(err, unix.EADDRNOTAVAIL) && !from.IsValid() && to.Addr().Is4() && to.Addr().IsLoopback() {
		return dialFrom(OtherLoopback(), to, deadline)
	}
	return c, err
}

// OtherLoopback returns a random address of 127.0.0.0/8, for the source of a connection
// within this machine.
func OtherLoopback() netip.Addr {
	var b [3]byte
	_ = Random(b[:]) // any address will do
	return netip.AddrFrom4([4]byte{127, 1 + b[0]%254, b[1], 1 + b[2]%254})
}

func dialFrom(from netip.Addr, to netip.AddrPort, deadline time.Time) (*Conn, error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &Conn{fd, deadline}
	// A request goes out in two parts; Nagle would hold the second back until
	// the first is acknowledged, up to 40 ms. Without the option it is only slow.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if from.IsValid() {
		if err = bindFrom(fd, from); err != nil {
			c.Close()
			return nil, err
		}
	}
	err = unix.Connect(fd, sockaddr(to))
	if err == unix.EINPROGRESS || err == unix.EINTR {
		if err = c.wait(unix.POLLOUT); err == nil {
			var errno int
			if errno, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
				err = unix.Errno(errno)
			}
		}
	}
	if err != nil {
		c.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return c, nil
}

// bindFrom sets the source address of a connection. The kernel chooses the port when it
// knows the other end, so any port that is free for this pair will do.
func bindFrom(fd int, from netip.Addr) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err == nil {
		err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0)))
	}
	return os.NewSyscallError("bind", err)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// LocalAddr returns the address of our end. unix.Getsockname knows all families and
// takes 3 KiB.
func (c *Conn) LocalAddr() (netip.AddrPort, error) { return LocalAddr(c.fd) }

// LocalAddr returns the address to which the socket fd is bound.
func LocalAddr(fd int) (netip.AddrPort, error) {
	return nameOf("getsockname", unix.SYS_GETSOCKNAME, fd)
}

// PeerAddr returns the address to which the socket fd is connected.
func PeerAddr(fd int) (netip.AddrPort, error) { return nameOf("getpeername", unix.SYS_GETPEERNAME, fd) }

func nameOf(name string, trap uintptr, fd int) (netip.AddrPort, error) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return netip.AddrPort{}, os.NewSyscallError(name, errno)
	}
	a, ok := addrPort(&sa)
	if !ok {
		return a, os.NewSyscallError(name, unix.EAFNOSUPPORT)
	}
	return a, nil
}

// addrPort returns a TCP address as the kernel has written it.
func addrPort(sa *unix.RawSockaddrAny) (a netip.AddrPort, ok bool) {
	switch sa.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), bigEndian(a.Port)), true
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), bigEndian(a.Port)), true
	}
	return a, false
}

// bigEndian returns a number that the kernel has left in network order.
func bigEndian(n uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], n)
	return binary.BigEndian.Uint16(b[:])
}

// wait polls until the descriptor is ready for events. It returns
// os.ErrDeadlineExceeded after the deadline.
func (c *Conn) wait(events int16) error {
	for {
		left := time.Until(c.deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		if ready, err := c.poll(events, left); ready || err != nil {
			return err
		}
	}
}

// poll waits once and reports whether the descriptor is ready. A signal or the end
// of limit gives false and nil.
func (c *Conn) poll(events int16, limit time.Duration) (bool, error) {
	timeout := unix.NsecToTimespec(int64(limit))
	n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(c.fd), Events: events}}, &timeout, nil)
	if err != nil && err != unix.EINTR {
		return false, os.NewSyscallError("ppoll", err)
	}
	return n > 0, nil
}

// Readable waits for limit at most, and reports whether there is something to read,
// an end or an error included. It returns os.ErrDeadlineExceeded once the deadline
// has passed.
func (c *Conn) Readable(limit time.Duration) (bool, error) {
	left := time.Until(c.deadline)
	if left <= 0 {
		return false, os.ErrDeadlineExceeded
	}
	return c.poll(unix.POLLIN, min(limit, left))
}

// Read reads the bytes that are there. It returns 0 and nil at the end of the stream.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLIN); err != nil {
				return 0, err
			}
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		default:
			return n, nil
		}
	}
}

// Write writes all of b.
func (c *Conn) Write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.fd, b, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLOUT); err != nil {
				return err
			}
		case err != nil:
			return os.NewSyscallError("send", err)
		default:
			b = b[n:]
		}
	}
	return nil
}

// Close closes the connection.
func (c *Conn) Close() { unix.Close(c.fd) }

// Refused reports whether err means that there is no listener.
func Refused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }

// Unreachable reports whether err means that this machine has no such address
// (a loopback without IPv6, for example).
func Unreachable(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) ||
		errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH)
}

// Reset reports whether err means that the other end went away.
func Reset(err error) bool {
	return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}
