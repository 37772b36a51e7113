// SPDX-License-Identifier: Apache-2.0

package relaybox

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// BindBeside returns a socket that is bound to addr and does not listen. It can stay there
// beside a gateway that binds with SO_REUSEADDR and listens later, as most do.
func BindBeside(addr netip.AddrPort) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Park makes the bound socket fd wait in SYN_SENT for a connection that comes from the port
// of to. TCP's simultaneous open then joins the two, although a listener has fd's port. The
// first SYN of fd is lost in a full backlog, so for a second it waits for its second one.
// A connect of another process from that port, in this second, reaches fd for sure.
func Park(fd int, to netip.AddrPort) error {
	full, err := BindBeside(to)
	if err != nil {
		return err
	}
	defer unix.Close(full)
	if err := unix.Listen(full, 0); err != nil {
		return err
	}
	sa := &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	filler, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(filler)
	// From another port than those that are parked.
	err = unix.SetsockoptLinger(filler, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if err == nil {
		err = unix.Bind(filler, &unix.SockaddrInet4{Addr: [4]byte{127, 77, 0, 1}})
	}
	if err == nil {
		err = unix.Connect(filler, sa)
	}
	if err != nil {
		return fmt.Errorf("cannot fill the backlog of %v: %w", to, err)
	}
	if err := unix.Connect(fd, sa); err != unix.EINPROGRESS {
		return fmt.Errorf("cannot park: %v", err)
	}
	return nil
}
