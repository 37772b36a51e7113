// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/relay/bounds"
)

// atOnce bounds the clients that are accepted or connected between two looks at the
// events of the others.
const atOnce = 64

// accept takes clients off the backlog. It never leaves them there, because the agent
// could then fill the backlog for all. A client beyond the bounds is reset.
func (l *Loop) accept(from *listener) {
	for range atOnce {
		fd, peer, errno := sys.Accept(from.fd)
		switch errno {
		case 0:
			l.admit(from, fd, peer)
		case unix.EAGAIN:
			return
		case unix.EMFILE:
			if !l.resetOne(from) {
				l.rest()
				return
			}
		case unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			l.rest()
			return
		default: // the client is gone, or its network is (accept(2))
		}
	}
}

// resetOne resets a client for which there is no descriptor. The bounds leave some, so
// this happens only if PID 1 has counted wrong.
func (l *Loop) resetOne(from *listener) bool {
	if l.spareFD < 0 {
		return false
	}
	sys.Close(l.spareFD)
	l.spareFD = -1
	fd, _, errno := sys.Accept(from.fd)
	if errno == 0 {
		sys.Close(fd)
		relaycount.Add(&l.counters.Accepted, 1)
		l.count(relaycount.TotalLimit, 0)
	}
	l.openSpare()
	return l.spareFD >= 0
}

func (l *Loop) openSpare() {
	if fd, err := sys.EventFD(); err == nil {
		l.spareFD = fd
	}
}

// rest does not look at the listeners for a moment. They would wake the loop at once.
func (l *Loop) rest() {
	for _, listener := range l.listeners {
		l.epoll.Remove(listener.fd)
	}
	l.deaf = l.now + breather
}

// admit decides about a new client. Nothing is read from it before it is connected to a
// proven gateway. It inherits the options of the listener, so closing it is a reset. Only
// what came before the container's first relay does not have them.
func (l *Loop) admit(from *listener, fd int, peer netip.AddrPort) {
	relaycount.Add(&l.counters.Accepted, 1)
	if !sys.IsAbortive(fd) {
		_ = sys.Tune(fd, tuning) // it fails only for a socket that is gone
	}
	local, err := sys.LocalAddr(fd)
	if err != nil || !proven.Covers(from.addr, local) {
		l.turnAway(fd, relaycount.ClientGone)
		return
	}
	who, reason, ok := l.identify(peer, local)
	if !ok {
		l.turnAway(fd, reason)
		return
	}
	hasData, gone := glance(fd)
	if gone {
		l.turnAway(fd, relaycount.ClientGone)
		return
	}
	if reason, ok := l.bounds.Take(who); !ok {
		l.turnAway(fd, reason)
		return
	}
	c := l.newConn()
	c.who, c.client.fd, c.client.in, c.client.out = who, fd, hasData, true
	c.state, c.until = waiting, l.now+l.config.Wait
	relaycount.Add(&l.counters.Active, 1)
	if l.mayConnect() {
		l.connect(c)
		return
	}
	if l.watch(c, clientSide) {
		l.waiting.push(c, c.until)
	}
}

// turnAway resets a client that is no conn yet.
func (l *Loop) turnAway(fd int, r relaycount.Reason) {
	sys.Close(fd)
	l.count(r, 0)
}

// identify finds out who the client is. The kernel knows the user of a client on this
// machine by its end of the connection. Such a client that has closed its end cannot
// read an answer. A client of another machine has no end here.
func (l *Loop) identify(peer, local netip.AddrPort) (c bounds.Client, r relaycount.Reason, ok bool) {
	isLocal := peer.Addr().IsLoopback() || peer.Addr() == local.Addr()
	uid, inode, known := l.prover.User(peer, local)
	switch {
	case l.prover.Way() != proven.ByDiag:
		if isLocal {
			return bounds.Client{Local: true, UID: bounds.Nobody}, 0, true
		}
	case known && inode == 0:
		return c, relaycount.NoInode, false
	case known:
		favored := uid == 0 || uid == l.config.Operator
		return bounds.Client{Local: true, UID: uid, Favored: favored}, 0, true
	case isLocal:
		return c, relaycount.ClientGone, false
	}
	return bounds.Client{Addr: peer.Addr()}, 0, true
}

// glance looks whether a client has sent something, or has gone without that.
func glance(fd int) (hasData, gone bool) {
	var b [1]byte
	n, errno := sys.PeekNow(fd, b[:])
	return errno == 0 && n > 0, errno != 0 && errno != unix.EAGAIN || errno == 0 && n == 0
}

// checkClient looks at a client that is not served yet and has sent its end. If it has
// only ended its half, it can still be served. Otherwise it is refused, and the result is
// false. The kernel sends the end a moment before the client's socket is gone, so the loop
// looks again before it connects.
func (l *Loop) checkClient(c *conn) bool {
	hasData, gone := glance(c.client.fd)
	c.client.in = hasData
	if gone {
		l.refuse(c, relaycount.ClientGone, 0)
		return false
	}
	if !c.who.Local || l.prover.Way() != proven.ByDiag {
		return true
	}
	peer, err := sys.PeerAddr(c.client.fd)
	local, err2 := sys.LocalAddr(c.client.fd)
	if err != nil || err2 != nil {
		l.refuse(c, relaycount.ClientGone, 0)
		return false
	}
	if _, inode, known := l.prover.User(peer, local); !known || inode == 0 {
		l.refuse(c, relaycount.NoInode, 0)
		return false
	}
	return true
}
