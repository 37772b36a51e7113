// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sys"
)

const (
	// chunkSize is how much is read at once. It stays in the processor's cache until it
	// is written.
	chunkSize = 256 << 10
	// maxChunks bounds the chunks of one loop. One is free for the next read. The others
	// hold what a peer did not take in one piece.
	maxChunks = 9
	// turn is how much one client may copy in one direction before the others' turn.
	turn = 512 << 10
)

// exchange copies both ways what can be copied now. A client that has more gets its next
// turn after the others.
func (l *Loop) exchange(c *conn) {
	up, alive := l.pump(&c.client, &c.gateway)
	if !alive || !l.roomFor(c, gatewaySide) {
		l.abort(c)
		return
	}
	down, alive := l.pump(&c.gateway, &c.client)
	if !alive || !l.roomFor(c, clientSide) {
		l.abort(c)
		return
	}
	if up > 0 {
		relaycount.Add(&l.counters.ToGateway, uint64(up))
	}
	if down > 0 {
		relaycount.Add(&l.counters.ToClient, uint64(down))
	}
	switch {
	case c.client.ended && c.gateway.ended:
		l.finish(c)
	case (up >= turn || down >= turn) && !c.runnable:
		c.runnable = true
		l.runnable = append(l.runnable, c)
	}
}

// copyMore gives those their turn who had more to copy.
func (l *Loop) copyMore() {
	n := len(l.runnable)
	for _, c := range l.runnable[:n] {
		if c.runnable { // it may have ended meanwhile
			c.runnable = false
			l.exchange(c)
		}
	}
	l.runnable = append(l.runnable[:0], l.runnable[n:]...)
}

// pump moves bytes from one socket to another until one of them would wait, or the turn
// is over. Nothing is read before there is room to write it. alive is false if one of
// the sockets has failed.
func (l *Loop) pump(from, to *half) (moved int, alive bool) {
	for moved < turn && to.out {
		switch {
		case len(from.rest) > 0:
			n, alive := to.take(from.rest)
			if !alive {
				return moved, false
			}
			moved += n
			if from.rest = from.rest[n:]; len(from.rest) > 0 {
				to.out = false
				return moved, true
			}
			l.giveBack(from)
		case from.eof:
			if !to.ended {
				to.ended = true
				sys.EndWriting(to.fd)
			}
			return moved, true
		case !from.in:
			return moved, true
		default:
			n, alive := l.carry(from, to)
			if !alive {
				return moved, false
			}
			moved += n
		}
	}
	return moved, true
}

// carry reads once and writes once.
func (l *Loop) carry(from, to *half) (moved int, alive bool) {
	if l.chunk == nil {
		return l.carryWhatFits(from, to)
	}
	n, errno := sys.RecvNow(from.fd, l.chunk)
	if stop, alive := from.took(n, len(l.chunk), errno); stop {
		return 0, alive
	}
	sent, alive := to.take(l.chunk[:n])
	if !alive {
		return 0, false
	}
	if sent < n {
		to.out = false
		from.buffer, from.rest = l.chunk, l.chunk[sent:n]
		l.nextChunk()
	}
	return sent, true
}

// took notes what a read says about a socket. stop means that there is nothing to write.
func (h *half) took(n, room int, errno sys.Errno) (stop, alive bool) {
	switch {
	case errno == unix.EAGAIN:
		h.in = false
		return true, true
	case errno != 0:
		return true, false
	case n == 0:
		h.eof = true
		return true, true
	case n < room && !h.last:
		h.in = false // the next byte wakes the loop
	}
	return false, true
}

// take writes what the socket takes now, which may be nothing. alive is false if it has
// failed.
func (h *half) take(b []byte) (n int, alive bool) {
	n, errno := sys.SendNow(h.fd, b)
	if errno == unix.EAGAIN {
		return 0, true
	}
	return n, errno == 0
}

// carryWhatFits copies without keeping anything. It is for the time when all chunks are
// held by peers that do not read. It writes what it has only looked at, and then removes
// what was taken.
func (l *Loop) carryWhatFits(from, to *half) (moved int, alive bool) {
	n, errno := sys.PeekNow(from.fd, l.glass[:])
	before := from.in
	if stop, alive := from.took(n, len(l.glass), errno); stop {
		return 0, alive
	}
	sent, alive := to.take(l.glass[:n])
	if !alive {
		return 0, false
	}
	if sent < n {
		to.out, from.in = false, before
	}
	if sent == 0 {
		return 0, true
	}
	gone, errno := sys.DiscardNow(from.fd, l.glass[:sent])
	return sent, errno == 0 && gone == sent
}

// nextChunk finds a chunk for the next read. There may be none.
func (l *Loop) nextChunk() {
	l.chunk = nil
	switch n := len(l.spare); {
	case n > 0:
		l.chunk, l.spare = l.spare[n-1], l.spare[:n-1]
	case l.made < maxChunks:
		l.made++
		l.chunk = make([]byte, chunkSize)
	}
}

// giveBack returns the chunk of a socket.
func (l *Loop) giveBack(h *half) {
	switch {
	case h.buffer == nil:
	case l.chunk == nil:
		l.chunk = h.buffer
	default:
		l.spare = append(l.spare, h.buffer)
	}
	h.buffer, h.rest = nil, nil
}

// roomFor makes the loop hear when a full socket takes more again. It reports whether it
// does. Most sockets are never full, so they are not watched for that before.
func (l *Loop) roomFor(c *conn, side int32) bool {
	h := c.half(side)
	if h.out || h.roomy {
		return true
	}
	h.roomy = true
	slot, mark := c.key(side)
	return l.epoll.Change(h.fd, sys.In|sys.Out|sys.PeerEnd|sys.Edge, slot, mark) == nil
}
