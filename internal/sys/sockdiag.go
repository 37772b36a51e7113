// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"

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
