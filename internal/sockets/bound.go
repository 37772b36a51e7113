// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"fmt"
	"net/netip"
)

// Bound is a socket that has a local port and does not listen.
type Bound struct {
	Local, Remote netip.AddrPort // Remote is zero if the socket is not connected
	State         uint8          // as in the kernel's tcp_states.h; CLOSE (7) is bound alone
	UID           uint32         // of the process that made it; 0 if no process has it (SYN_RECV, a connection that is not accepted)
	Inode         uint64
}

// ListBound lists the sockets on the port that do not listen, of both families and all
// states. A socket that is bound alone is seen from Linux 6.8 on. leftover says that there
// are closed connections that the kernel keeps for a time, and that no process has any
// more. They block a plain bind(2) like the others, but not one with SO_REUSEADDR. The
// errors are those of Listeners.
func ListBound(port uint16) (bound []Bound, leftover bool, err error) {
	return listBound(port, dumpSockets)
}

func listBound(port uint16, dump dumper) (bound []Bound, leftover bool, err error) {
	isWanted := func(s socket) bool {
		if s.local.Port() != port || s.state == tcpListen {
			return false
		}
		if isLeftover(s) {
			leftover = true
			return false
		}
		return true
	}
	const states = (1<<(tcpBound+1) - 1) &^ (1 << tcpListen)
	socks, err := dump(port, states, isWanted)
	if isUnavailable(err) {
		leftover = false
		socks, err = readSockets(isWanted)
	}
	if err != nil {
		err = fmt.Errorf("%w: cannot list the sockets of port %d: %w", ErrUnproven, port, err)
		if !errors.Is(err, ErrMany) {
			return nil, false, err
		}
	}
	for _, s := range socks {
		bound = append(bound, Bound{Local: s.local, Remote: s.remote, State: s.state, UID: s.uid, Inode: s.inode})
	}
	return bound, leftover, err
}

// isLeftover reports whether s is a connection that was closed on this side. No process
// has a socket in TIME_WAIT. In the states before it close(2) has removed the inode. A
// connection without an inode in another state is one that was not accepted yet.
func isLeftover(s socket) bool {
	switch s.state {
	case tcpTimeWait:
		return true
	case tcpFinWait1, tcpFinWait2, tcpClosing, tcpLastAck:
		return s.inode == 0
	}
	return false
}
