// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// loopback is the index of the device lo, in every network namespace (LOOPBACK_IFINDEX).
// A lookup without a device does not find a socket that is bound to one, although
// clients reach it.
const loopback = 1

// Asker looks up sockets by one netlink socket, again and again, without garbage. It is
// for one goroutine. Unlike the functions of this package it never reads /proc.
type Asker struct {
	conn    *sys.Diag
	seq     uint32
	request [nlHeader + diagReq]byte
	found   [8]Socket
}

// NewAsker opens the netlink socket.
func NewAsker() (*Asker, error) {
	conn, err := sys.OpenDiag()
	if err != nil {
		return nil, fmt.Errorf("cannot ask sock_diag: %w", err)
	}
	return &Asker{conn: conn}, nil
}

// Close closes the netlink socket.
func (a *Asker) Close() { a.conn.Close() }

// Lookup returns the TCP socket that receives what peer sends to owner on this machine.
// Without a peer that is a listener. The kernel answers with a listener too if there is
// no such connection, and with a socket of the other family for a dual-stack server, so
// the caller compares every field. ok is false if there is no socket.
func (a *Asker) Lookup(owner, peer netip.AddrPort) (s Socket, ok bool, err error) {
	family := uint8(unix.AF_INET)
	if owner.Addr().Is6() {
		family = unix.AF_INET6
	}
	putRequest(a.request[:], family, ^uint32(0))
	putEnds(a.request[:], owner, peer, loopback)
	found, err := a.ask(a.request[:], a.found[:0])
	switch {
	case errors.Is(err, unix.ENOENT):
		return s, false, nil
	case err != nil:
		return s, false, err
	case len(found) != 1:
		return s, false, fmt.Errorf("%w: %d sockets", errDiag, len(found))
	}
	return found[0], true, nil
}

// Listeners returns the LISTEN sockets on the port: the IPv6 ones, and the IPv4 ones if
// v4 is set. The error is ErrMany if there are too many.
func (a *Asker) Listeners(port uint16, v4 bool) (all []Socket, err error) {
	for _, family := range []uint8{unix.AF_INET6, unix.AF_INET} {
		if family == unix.AF_INET && !v4 {
			break
		}
		all, err = a.ask(diagRequest(family, 1<<Listening, netip.AddrPortFrom(netip.Addr{}, port), netip.AddrPort{}, true), all)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// ask sends one request and appends the sockets of the answer to out.
func (a *Asker) ask(request []byte, out []Socket) ([]Socket, error) {
	a.seq++
	binary.NativeEndian.PutUint32(request[8:], a.seq)
	if err := a.conn.Send(request); err != nil {
		return out, err
	}
	for {
		datagram, err := a.conn.Receive()
		if err != nil {
			return out, err
		}
		if len(datagram) >= nlHeader && binary.NativeEndian.Uint32(datagram[8:]) != a.seq {
			continue // the rest of an answer that was given up
		}
		var done bool
		if out, done, err = parseDiag(datagram, isAny, out); done || err != nil {
			return out, err
		}
	}
}

func isAny(Socket) bool { return true }

// IsUnavailable reports whether err means that sock_diag cannot be asked at all here.
func IsUnavailable(err error) bool { return isUnavailable(err) }
