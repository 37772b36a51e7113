// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"fmt"
)

// Bound is a socket that has a local port and does not listen. Remote is zero if it is
// not connected. If it is bound alone, its state is Closed. If no process has it
// (SYN_RECV, a connection that is not accepted), its uid may be 0.
type Bound = Socket

// ListBound lists the sockets on the port that do not listen, of both families and all
// states. A socket that is bound alone is seen from Linux 6.8 on. leftover says that there
// are closed connections that the kernel keeps for a time, and that no process has any
// more. They block a plain bind(2) like the others, but not one with SO_REUSEADDR. The
// errors are those of Listeners.
func ListBound(port uint16) (bound []Bound, leftover bool, err error) {
	return listBound(port, dumpSockets)
}

func listBound(port uint16, dump dumper) (bound []Bound, leftover bool, err error) {
	isWanted := func(s Socket) bool {
		if s.Local.Port() != port || s.State == Listening {
			return false
		}
		if isLeftover(s) {
			leftover = true
			return false
		}
		return true
	}
	const states = (1<<(boundState+1) - 1) &^ (1 << Listening)
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
	return socks, leftover, err
}

// isLeftover reports whether s is a connection that was closed on this side. No process
// has a socket in TIME_WAIT. In the states before it close(2) has removed the inode. A
// connection without an inode in another state is one that was not accepted yet.
func isLeftover(s Socket) bool {
	switch s.State {
	case timeWait:
		return true
	case finWait1, finWait2, closing, lastAck:
		return s.Inode == 0
	}
	return false
}
