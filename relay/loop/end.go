// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// refuse resets a client that was not served.
func (l *loop) refuse(c *conn, r relaycount.Reason, uid uint32) {
	l.count(r, uid)
	l.end(c)
}

func (l *loop) count(r relaycount.Reason, uid uint32) {
	l.relay.config.Counters.Refuse(r)
	if r == relaycount.Foreign {
		l.relay.config.Counters.Found(uid)
	}
	l.relay.config.Log.Refused(r, uid)
}

// abort resets both ends of a client that was served. A reset is not a clean end, and
// must not look like one at the other end.
func (l *loop) abort(c *conn) {
	relaycount.Add(&l.relay.counters.Resets, 1)
	l.end(c)
}

// finish closes both ends of a client, each of which has ended its half.
func (l *loop) finish(c *conn) {
	sys.Graceful(c.client.fd)
	sys.Graceful(c.gateway.fd)
	l.end(c)
}

// end closes what a client has, and frees its slot. Without finish it is a reset.
func (l *loop) end(c *conn) {
	c.unqueue()
	l.giveBack(&c.client)
	l.giveBack(&c.gateway)
	sys.Close(c.client.fd)
	if c.gateway.fd >= 0 {
		sys.Close(c.gateway.fd)
	}
	c.state, c.runnable = free, false
	l.relay.bounds.Release(c.who)
	l.active--
	relaycount.Subtract(&l.relay.counters.Active)
	l.unused = append(l.unused, c)
}
