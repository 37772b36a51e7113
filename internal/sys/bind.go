// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Bind says how BindTCP binds a socket.
type Bind struct {
	ReuseAddr bool // SO_REUSEADDR
	ReusePort bool // SO_REUSEPORT
	Dual      bool // without IPV6_V6ONLY
	Any       bool // IP_FREEBIND or IPV6_FREEBIND: the address need not exist
}

// BindTCP returns a blocking TCP socket that is bound to addr and does not listen. The
// protocol is IPPROTO_TCP, never MPTCP. The caller closes it.
func BindTCP(addr netip.AddrPort, how Bind) (*os.File, error) {
	family, level, free := unix.AF_INET, unix.IPPROTO_IP, unix.IP_FREEBIND
	if addr.Addr().Is6() {
		family, level, free = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	options := []struct {
		set         bool
		level, name int
	}{
		{how.ReuseAddr, unix.SOL_SOCKET, unix.SO_REUSEADDR},
		{how.ReusePort, unix.SOL_SOCKET, unix.SO_REUSEPORT},
		{how.Any, level, free},
		{family == unix.AF_INET6 && !how.Dual, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY},
	}
	for _, o := range options {
		if o.set {
			if err := unix.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
				unix.Close(fd)
				return nil, os.NewSyscallError("setsockopt", err)
			}
		}
	}
	if how.Dual && family == unix.AF_INET6 { // net.ipv6.bindv6only may be set
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err := unix.Bind(fd, sockaddr(addr)); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), addr.String()), nil
}

// Listen makes a bound socket listen. buffer is SO_RCVBUF in bytes, which accepted
// sockets inherit. The kernel cuts backlog to net.core.somaxconn.
func Listen(f *os.File, backlog, buffer int) error {
	defer runtime.KeepAlive(f)
	fd := int(f.Fd())
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

// ForbidReuse clears SO_REUSEADDR, so that no later socket can be bound beside f.
func ForbidReuse(f *os.File) error {
	defer runtime.KeepAlive(f)
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_REUSEADDR, 0))
}

// Cookie returns the number by which sock_diag(7) identifies a socket (SO_COOKIE, Linux
// 4.12).
func Cookie(f *os.File) (uint64, error) {
	defer runtime.KeepAlive(f)
	n, err := unix.GetsockoptUint64(int(f.Fd()), unix.SOL_SOCKET, unix.SO_COOKIE)
	return n, os.NewSyscallError("getsockopt", err)
}
