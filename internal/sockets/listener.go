// SPDX-License-Identifier: Apache-2.0

// Package sockets finds out which sockets listen on a port, which user owns the other
// end of a connection, and which processes have a socket open. If it cannot be found
// out, that is a separate error (ErrUnproven), never a guess.
package sockets

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrUnproven means that the answer could not be found out. Unknown is not down.
var ErrUnproven = errors.New("unproven")

// ErrUnheld is the kind of ErrUnproven that may pass. The tables could be read, but
// no process holds the socket yet, or none does any more.
var ErrUnheld = fmt.Errorf("%w: no process holds the other end of the connection", ErrUnproven)

// ErrMany is the kind of ErrUnproven that comes with an answer. There are more than
// maxSocket sockets, and only the first ones are listed. A listener of another user
// among them is a fact. That there is no such listener is not.
var ErrMany = fmt.Errorf("%w: more than %d sockets", ErrUnproven, maxSocket)

// Listener is a LISTEN socket.
type Listener struct {
	Addr   netip.AddrPort
	UID    uint32 // of the socket's creator
	Inode  uint64
	Cookie uint64 // the kernel's number of this Socket, never used again; 0 if /proc/net/tcp was read
	V6Only bool   // it gets no IPv4 connection; not known if /proc/net/tcp was read
}

func newListener(s Socket) Listener {
	return Listener{Addr: s.Local, UID: s.UID, Inode: s.Inode, Cookie: s.Cookie, V6Only: s.V6Only}
}

// Listeners lists every LISTEN socket on the port, of both families, in our network
// namespace. It uses sock_diag(7), or /proc/net/tcp{,6} where netlink is refused
// (gVisor, old seccomp profiles). If neither works, the error is ErrUnproven. If there
// are too many, it lists the first ones, and the error is ErrMany.
func Listeners(port uint16) ([]Listener, error) { return listenersFrom(port, dumpSockets) }

// ListenersByProc does the same by /proc/net/tcp{,6} alone.
func ListenersByProc(port uint16) ([]Listener, error) { return listenersFrom(port, readDump) }

// ListenersOf lists every LISTEN socket of a user, on any port, as Listeners does. The
// kernel cannot filter by user, so it costs more the more sockets there are.
func ListenersOf(uid uint32) ([]Listener, error) {
	ls, err := listListeners(0, func(s Socket) bool { return s.UID == uid }, dumpSockets)
	if err != nil {
		err = fmt.Errorf("%w: cannot list the listeners of uid %d: %w", ErrUnproven, uid, err)
	}
	return ls, err
}

func listenersFrom(port uint16, dump dumper) ([]Listener, error) {
	ls, err := listListeners(port, func(s Socket) bool { return s.Local.Port() == port }, dump)
	if err != nil {
		err = fmt.Errorf("%w: cannot list the listeners of port %d: %w", ErrUnproven, port, err)
	}
	return ls, err
}

// listListeners lists the LISTEN sockets that want accepts, on a port or, for 0, on any
// port.
func listListeners(port uint16, want func(Socket) bool, dump dumper) (ls []Listener, err error) {
	isWanted := func(s Socket) bool { return s.State == Listening && want(s) }
	socks, err := dump(port, 1<<Listening, isWanted)
	if isUnavailable(err) {
		socks, err = readSockets(isWanted)
	}
	if err != nil && !errors.Is(err, ErrMany) {
		return nil, err
	}
	for _, s := range socks {
		ls = append(ls, newListener(s))
	}
	return ls, err
}

// dumper lists the sockets of both families on a port (0: any) that are in one of the
// states and that want accepts. It may filter by port and state only for speed.
type dumper func(port uint16, states uint32, want func(Socket) bool) ([]Socket, error)

func readDump(_ uint16, _ uint32, want func(Socket) bool) ([]Socket, error) { return readSockets(want) }

func dumpSockets(port uint16, states uint32, want func(Socket) bool) (all []Socket, err error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := ask(diagRequest(family, states, netip.AddrPortFrom(netip.Addr{}, port), netip.AddrPort{}, true), want)
		for _, s := range found {
			if s.Local.Addr().Is4() != (family == unix.AF_INET) {
				return nil, fmt.Errorf("%w: a socket of the other family", errDiag)
			}
		}
		all = append(all, found...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// isUnavailable reports whether sock_diag is not available at all, because there is no
// such family or protocol, a seccomp profile forbids it, or the kernel has no
// tcp_diag. ENOENT is also the answer to a lookup of no socket. Looking into /proc
// as well then costs only time.
func isUnavailable(err error) bool {
	for _, errno := range []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EPROTONOSUPPORT,
		unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.ENOENT, unix.EINVAL} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// Owner returns the uid that holds the TCP socket whose own end is local and whose
// peer is remote. For the server's end of our own connection, that is the user that
// we talk to. A connection that no process has accepted yet has no inode, and its
// uid means nothing, so the error is ErrUnheld.
func Owner(local, remote netip.AddrPort) (uint32, error) {
	s, err := findConnection(local, remote, lookup)
	return s.UID, err
}

// OwnerByProc does the same by /proc/net/tcp{,6} alone.
func OwnerByProc(local, remote netip.AddrPort) (uint32, error) {
	s, err := findConnection(local, remote, readConnection)
	return s.UID, err
}

// Inode does the same as Owner for the inode of the socket.
func Inode(local, remote netip.AddrPort) (uint64, error) {
	s, err := findConnection(local, remote, lookup)
	return s.Inode, err
}

func findConnection(local, remote netip.AddrPort, look func(local, remote netip.AddrPort) ([]Socket, error)) (Socket, error) {
	socks, err := look(local, remote)
	if isUnavailable(err) {
		socks, err = readConnection(local, remote)
	}
	if err != nil {
		return Socket{}, fmt.Errorf("%w: cannot look up the owner of a connection: %w", ErrUnproven, err)
	}
	for _, s := range socks {
		if sameTuple(s, local, remote) && s.Inode != 0 && (s.State == Established || s.State == CloseWait) {
			return s, nil
		}
	}
	return Socket{}, ErrUnheld
}

func readConnection(local, remote netip.AddrPort) ([]Socket, error) {
	return readSockets(func(s Socket) bool { return sameTuple(s, local, remote) })
}

// sameTuple reports whether s has these two ends. The server's end of a dual-stack
// server is an IPv6 socket with mapped addresses.
func sameTuple(s Socket, local, remote netip.AddrPort) bool {
	unmap := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
	return unmap(s.Local) == unmap(local) && unmap(s.Remote) == unmap(remote)
}

func lookup(local, remote netip.AddrPort) ([]Socket, error) {
	family := uint8(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	return ask(diagRequest(family, ^uint32(0), local, remote, false), isAny)
}
