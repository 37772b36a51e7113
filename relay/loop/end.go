// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// refuse resets a client that was not served.
func (l *Loop) refuse(c *conn, r relaycount.Reason, uid uint32) {
	l.count(r, uid)
	l.end(c)
}

func (l *Loop) count(r relaycount.Reason, uid uint32) {
	l.config.Counters.Refuse(r)
	if r == relaycount.Foreign {
		l.config.Counters.Found(uid)
	}
	l.config.Log.Refused(r, uid)
}

// abort resets both ends of a client that was served. A reset is not a clean end, and
// must not look like one at the other end.
func (l *Loop) abort(c *conn) {
	relaycount.Add(&l.counters.Resets, 1)
	l.end(c)
}

// finish closes both ends of a client, each of which has ended its half.
func (l *Loop) finish(c *conn) {
	sys.Graceful(c.client.fd)
	sys.Graceful(c.gateway.fd)
	l.end(c)
}

// end closes what a client has, and frees its slot. Without finish it is a reset.
func (l *Loop) end(c *conn) {
	c.unqueue()
	l.giveBack(&c.client)
	l.giveBack(&c.gateway)
	sys.Close(c.client.fd)
	if c.gateway.fd >= 0 {
		sys.Close(c.gateway.fd)
	}
	c.state, c.runnable = free, false
	c.client.fd, c.gateway.fd = -1, -1
	l.bounds.Release(c.who)
	relaycount.Subtract(&l.counters.Active)
	l.unused = append(l.unused, c)
}
