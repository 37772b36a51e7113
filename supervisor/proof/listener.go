package proof

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrUnproven: it could not be found out. Unknown is not down.
var ErrUnproven = errors.New("unproven")

// errUnheld is the part of ErrUnproven that may pass: the tables could be read,
// but no process holds the socket, yet or any more.
var errUnheld = fmt.Errorf("%w: nobody holds the other end of the connection", ErrUnproven)

// Listener is a LISTEN socket.
type Listener struct {
	Addr  netip.AddrPort
	UID   uint32 // of who created it
	Inode uint64
}

// Listeners lists every LISTEN socket on the port, of both families, in our
// network namespace: from sock_diag(7), or from /proc/net/tcp{,6} where netlink
// is refused (gVisor, old seccomp profiles). Neither: ErrUnproven.
func Listeners(port uint16) ([]Listener, error) { return listenersFrom(port, dumpListeners) }

func listenersFrom(port uint16, dump func(uint16) ([]socket, error)) ([]Listener, error) {
	socks, err := dump(port)
	if refused(err) {
		socks, err = procSockets(func(s socket) bool { return s.state == tcpListen && s.local.Port() == port })
	}
	if err != nil {
		return nil, fmt.Errorf("%w: cannot list the listeners of port %d: %w", ErrUnproven, port, err)
	}
	var ls []Listener
	for _, s := range socks {
		if s.state == tcpListen && s.local.Port() == port { // the filter was only for speed
			ls = append(ls, Listener{Addr: s.local, UID: s.uid, Inode: s.inode})
		}
	}
	return ls, nil
}

func dumpListeners(port uint16) ([]socket, error) {
	var all []socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := ask(diagRequest(family, 1<<tcpListen, netip.AddrPortFrom(netip.Addr{}, port), netip.AddrPort{}, true))
		if err != nil {
			return nil, err
		}
		for _, s := range found {
			if s.local.Addr().Is4() != (family == unix.AF_INET) {
				return nil, fmt.Errorf("%w: a socket of the other family", errDiag)
			}
		}
		all = append(all, found...)
	}
	return all, nil
}

// refused tells whether sock_diag may not be had at all: no such family or
// protocol, a seccomp profile, a kernel without tcp_diag. ENOENT is also the
// answer to a lookup of no socket; to look into /proc as well costs only time.
func refused(err error) bool {
	for _, errno := range []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EPROTONOSUPPORT,
		unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.ENOENT, unix.EINVAL} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// Owner is the uid that holds the TCP socket whose own end is local and whose
// peer is remote: asked with the server's end of a connection of ours, it says
// whom we talk to. A connection that nobody has accepted yet has no inode, and
// its uid means nothing: ErrUnproven.
func Owner(local, remote netip.AddrPort) (uint32, error) { return ownerFrom(local, remote, lookup) }

func ownerFrom(local, remote netip.AddrPort, look func(local, remote netip.AddrPort) ([]socket, error)) (uint32, error) {
	s, err := serverEnd(local, remote, look)
	return s.uid, err
}

func serverEnd(local, remote netip.AddrPort, look func(local, remote netip.AddrPort) ([]socket, error)) (socket, error) {
	socks, err := look(local, remote)
	if refused(err) {
		socks, err = procSockets(func(s socket) bool { return same(s, local, remote) })
	}
	if err != nil {
		return socket{}, fmt.Errorf("%w: cannot look up the owner of a connection: %w", ErrUnproven, err)
	}
	for _, s := range socks {
		if same(s, local, remote) && s.inode != 0 && (s.state == tcpEstablished || s.state == tcpCloseWait) {
			return s, nil
		}
	}
	return socket{}, errUnheld
}

// same compares four-tuples; a dual-stack server's end is an IPv6 socket with
// mapped addresses.
func same(s socket, local, remote netip.AddrPort) bool {
	unmap := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
	return unmap(s.local) == unmap(local) && unmap(s.remote) == unmap(remote)
}

func lookup(local, remote netip.AddrPort) ([]socket, error) {
	family := uint8(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	return ask(diagRequest(family, ^uint32(0), local, remote, false))
}

// Ownership is who listens on the gateway's port.
type Ownership uint8

// The answers.
const (
	Ours    Ownership = iota // the gateway's uid, and nobody else
	Missing                  // nobody
	Foreign                  // somebody else, perhaps beside ours
)

// Judge decides about listeners. foreign lists those that are not uid's.
func Judge(ls []Listener, uid uint32) (o Ownership, foreign []Listener) {
	for _, l := range ls {
		if l.UID != uid {
			foreign = append(foreign, l)
		}
	}
	switch {
	case len(ls) == 0:
		return Missing, nil
	case len(foreign) > 0:
		return Foreign, foreign
	}
	return Ours, nil
}
