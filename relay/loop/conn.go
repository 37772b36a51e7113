// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"net/netip"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/relay/bounds"
)

// state is what happens to a client.
type state uint8

const (
	free    state = iota // the slot has no client
	waiting              // for a gateway that is proven; no byte was read
	proving              // connected or connecting to the gateway; no byte was read
	copying
)

// conn is a client with its connection to the gateway.
type conn struct {
	slot  int32
	seq   [2]int32 // change with each socket of a side, so that an old event is not taken for its own
	state state
	who   bounds.Client

	client, gateway half

	ours     netip.AddrPort // proving: our end of the connection to the gateway
	pause    proven.Pause
	scanned  bool          // a scanner has the question
	aside    bool          // this is the second try, from another address
	reset    bool          // the gateway has reset one connection
	began    time.Duration // proving: when it began to connect
	by       time.Duration // proving: the deadline
	until    time.Duration // waiting and proving: when the client has waited long enough
	runnable bool          // in the list of those that have more to copy

	due        time.Duration // in a queue: when
	queue      *queue        // nil: in none
	prev, next *conn
}

// half is one socket of a conn.
type half struct {
	fd     int
	in     bool   // there may be something to read
	out    bool   // it may take something
	last   bool   // its peer has sent its end, so a short read is not the last one
	eof    bool   // its end was read
	ended  bool   // our end was sent to it
	heard  bool   // the loop watches it
	roomy  bool   // the loop also watches for room to write
	rest   []byte // was read here, and the other half did not take it yet
	buffer []byte // of which rest is a part
}

// sides of a conn in an event.
const (
	clientSide  = 0
	gatewaySide = 1
)

// key returns what the event of one side says.
func (c *conn) key(side int32) (slot, mark int32) { return c.slot, c.seq[side]<<1 | side }

// half returns the socket of a side.
func (c *conn) half(side int32) *half {
	if side == gatewaySide {
		return &c.gateway
	}
	return &c.client
}

// renew makes the key of a side another one.
func (c *conn) renew(side int32) { c.seq[side] = (c.seq[side] + 1) & (1<<30 - 1) }

// newConn returns a slot for a client.
func (l *Loop) newConn() *conn {
	if len(l.unused) == 0 {
		const more = 32
		block := make([]conn, more)
		for i := range block {
			block[i].slot = int32(len(l.slots))
			l.slots = append(l.slots, &block[i])
			l.unused = append(l.unused, &block[i])
		}
	}
	c := l.unused[len(l.unused)-1]
	l.unused = l.unused[:len(l.unused)-1]
	*c = conn{slot: c.slot, seq: c.seq}
	c.renew(clientSide)
	c.renew(gatewaySide)
	c.client.fd, c.gateway.fd = -1, -1
	return c
}

// find returns the conn of an event, or nil if that is gone.
func (l *Loop) find(slot, mark int32) (*conn, *half) {
	if slot < 0 || int(slot) >= len(l.slots) {
		return nil, nil
	}
	c := l.slots[slot]
	side := mark & 1
	if c.state == free || c.seq[side] != mark>>1 {
		return nil, nil
	}
	return c, c.half(side)
}

// queue is a list of conns by the time at which something is due. All of its members
// wait equally long, so it is in order. One that comes back to the front is earlier than
// the others.
type queue struct {
	first, last *conn
	n           int
}

func (q *queue) push(c *conn, due time.Duration) {
	c.queue, c.due, c.prev, c.next = q, due, q.last, nil
	if q.last != nil {
		q.last.next = c
	} else {
		q.first = c
	}
	q.last = c
	q.n++
}

func (q *queue) pushFront(c *conn, due time.Duration) {
	c.queue, c.due, c.prev, c.next = q, due, nil, q.first
	if q.first != nil {
		q.first.prev = c
	} else {
		q.last = c
	}
	q.first = c
	q.n++
}

// unqueue takes c out of its queue, if it is in one.
func (c *conn) unqueue() {
	q := c.queue
	if q == nil {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		q.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		q.last = c.prev
	}
	q.n--
	c.queue, c.prev, c.next = nil, nil, nil
}
