// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// diagBuffer bounds one datagram of a dump. The kernel makes none that is larger than
// the reader's buffer, or than the lesser of a page and 8 KiB (netlink_dump in
// net/netlink/af_netlink.c). PID 1 looks at its port often, so a large buffer would be
// the most of its garbage.
const diagBuffer = 8 << 10

// SockDiag sends one request to NETLINK_SOCK_DIAG (sock_diag(7), Linux 3.3) and
// passes each datagram of the answer to take, until take returns done. The kernel
// makes the answer of a dump while it is asked for and read, so nothing here waits.
// If there is nothing to read, the error is EAGAIN.
func SockDiag(request []byte, take func(datagram []byte) (done bool, err error)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := retry("sendto", func() error {
		return unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}); err != nil {
		return err
	}
	buf := make([]byte, diagBuffer)
	for {
		var n int
		var from unix.Sockaddr
		if err := retry("recvfrom", func() (err error) {
			n, from, err = unix.Recvfrom(fd, buf, unix.MSG_TRUNC) // n is the whole length
			return err
		}); err != nil {
			return err
		}
		if n > len(buf) { // the missing part may be the socket that matters
			return os.NewSyscallError("recvfrom", unix.EMSGSIZE)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not from the kernel
		}
		if done, err := take(buf[:n]); done || err != nil {
			return err
		}
	}
}

// Diag is a socket of NETLINK_SOCK_DIAG that is used again, by one goroutine.
type Diag struct {
	fd  int
	buf [diagBuffer]byte
}

// OpenDiag opens the socket, which takes answers of the kernel alone.
func OpenDiag() (*Diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	return &Diag{fd: fd}, nil
}

// Send sends a request. The kernel makes the answer meanwhile, or the first part of it,
// which can take a while: up to Linux 6.6 it takes locks that the whole host shares. So
// this is an ordinary blocking call for Go's scheduler.
func (d *Diag) Send(request []byte) error {
	return retry("write", func() error { _, err := unix.Write(d.fd, request); return err })
}

// Receive returns the next datagram of an answer, which is valid until the next call. It
// never waits. If there is nothing to read, the error is EAGAIN.
func (d *Diag) Receive() ([]byte, error) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(d.fd), uintptr(unsafe.Pointer(&d.buf)), diagBuffer, unix.MSG_TRUNC, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return nil, os.NewSyscallError("recvfrom", errno)
		case n > diagBuffer: // the missing part may be the socket that matters
			return nil, os.NewSyscallError("recvfrom", unix.EMSGSIZE)
		default:
			return d.buf[:n], nil
		}
	}
}

// Close closes the socket.
func (d *Diag) Close() { unix.Close(d.fd) }
