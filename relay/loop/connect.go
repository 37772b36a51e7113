// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sys"
)

func (l *Loop) mayConnect() bool { return l.life != nil && l.gate <= l.now && l.waiting.first == nil }

// connectWaiting connects the clients that have waited for a gateway, in their order.
func (l *Loop) connectWaiting() {
	for range atOnce {
		c := l.waiting.first
		if c == nil || l.life == nil || l.gate > l.now {
			return
		}
		c.unqueue()
		if !c.client.last || l.checkClient(c) {
			l.connect(c)
		}
	}
}

// connect connects to the gateway for a client. The other end of the connection must
// exist before the kernel is asked about it.
func (l *Loop) connect(c *conn) {
	if l.life.Ended() {
		l.waitAgain(c)
		l.lose()
		return
	}
	c.state, c.by, c.pause = proving, l.now+proofLimit, 0
	l.connectFrom(c, netip.Addr{})
}

// connectAside tries again from another address, once. It reports whether there is such a
// try. The agent can take the place of the gateway on some of the ports from which one
// address connects, or use all of them up. It cannot do so on all addresses.
func (l *Loop) connectAside(c *conn) bool {
	if c.aside || !proven.IsV4Loopback(l.life.Addr.Addr()) {
		return false
	}
	c.aside = true
	c.dropGateway()
	l.connectFrom(c, sys.OtherLoopback())
	return true
}

func (l *Loop) connectFrom(c *conn, from netip.Addr) {
	fd, errno := sys.Connect(from, l.life.Addr, tuning)
	switch {
	case errno == unix.ECONNREFUSED:
		l.shut(c)
		return
	case errno == unix.EADDRNOTAVAIL && l.connectAside(c):
		return
	}
	var err error
	if errno == 0 {
		c.gateway = half{fd: fd, out: true}
		c.began = l.now
		c.ours, err = sys.LocalAddr(fd)
	}
	if errno != 0 || err != nil {
		l.refuse(c, relaycount.DialFailed, 0)
		return
	}
	l.look(c)
}

// shut lets clients wait for a gateway that does not listen. It is about to end, or about
// to listen anew. PID 1 tells which.
func (l *Loop) shut(c *conn) {
	l.gate = l.now + refusedFor
	l.waitAgain(c)
}

// waitAgain takes back the connection to the gateway and lets the client wait. Nothing was
// read from either of them.
func (l *Loop) waitAgain(c *conn) {
	c.dropGateway()
	c.unqueue()
	c.aside = false
	c.state = waiting
	if l.watch(c, clientSide) {
		l.waiting.pushFront(c, c.until)
	}
}

// dropGateway resets the connection to the gateway, on which nothing was sent.
func (c *conn) dropGateway() {
	if c.gateway.fd >= 0 {
		sys.Close(c.gateway.fd)
	}
	c.gateway = half{fd: -1}
	c.renew(gatewaySide)
	c.scanned = false
}

// look looks once at the connection to the gateway, which is the rule.
func (l *Loop) look(c *conn) {
	if l.life == nil {
		l.waitAgain(c)
		return
	}
	c.unqueue()
	if l.prover.Way() == proven.ByProc {
		l.scan(c)
		return
	}
	l.judge(c, l.prover.Look(l.life, c.ours))
}

// judge acts on what was found about the connection to the gateway.
func (l *Loop) judge(c *conn, f proven.Finding) {
	switch f.Verdict {
	case proven.Proven:
		l.begin(c)
	case proven.Again:
		if c.by <= l.now || c.gateway.last { // what has closed its end is proven no more
			l.refuse(c, relaycount.Unproven, 0)
			return
		}
		if l.now-c.began >= stall && !sys.IsWritable(c.gateway.fd) && l.connectAside(c) {
			return
		}
		if pause := c.pause.Next(); l.watchBoth(c) {
			l.retries[c.pause.Step()].push(c, l.now+pause)
		}
	case proven.Ended:
		l.lose() // c waits then, too
	case proven.Foreign:
		if f.Aside && l.connectAside(c) {
			l.config.Counters.Found(f.UID)
			return
		}
		l.refuse(c, relaycount.Foreign, f.UID)
	case proven.Unknown:
		// PID 1 proves the gateway again, or ends it. Until then there is no point in
		// another try.
		l.askProof()
		l.gate = l.now + askAgain
		l.waitAgain(c)
	default:
		l.refuse(c, relaycount.Unproven, 0)
	}
}

// begin starts to copy.
func (l *Loop) begin(c *conn) {
	c.state = copying
	relaycount.Add(&l.counters.Served, 1)
	if l.watchBoth(c) {
		l.exchange(c)
	}
}

// failed handles an error of a socket.
func (l *Loop) failed(c *conn, h *half, errno sys.Errno) {
	switch {
	case c.state == copying:
		l.abort(c)
	case h == &c.client:
		l.refuse(c, relaycount.ClientGone, 0)
	case errno == unix.ECONNREFUSED:
		l.shut(c)
	case errno == unix.ECONNRESET && !c.reset:
		// A gateway that ends resets its backlog before its pidfd shows the end. One that
		// lives and resets its clients must not hold up the others.
		c.reset = true
		l.shut(c)
	default:
		l.refuse(c, relaycount.DialFailed, 0)
	}
}

// watch makes the loop hear of a socket. It reports whether it does. If not, the client
// was reset.
func (l *Loop) watch(c *conn, side int32) bool {
	h := c.half(side)
	if h.heard {
		return true
	}
	slot, mark := c.key(side)
	if l.epoll.Add(h.fd, sys.In|sys.PeerEnd|sys.Edge, slot, mark) != nil {
		l.refuse(c, relaycount.DialFailed, 0)
		return false
	}
	h.heard = true
	return true
}

func (l *Loop) watchBoth(c *conn) bool { return l.watch(c, clientSide) && l.watch(c, gatewaySide) }
