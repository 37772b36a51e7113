// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Sources of events that are not a conn's, in the place of its slot.
const (
	ofListener = -1 - iota // the mark is its index
	ofLink
	ofBell
	ofGateway // its pidfd; the mark is the low half of the generation
)

// loop serves clients on one thread.
type loop struct {
	relay  *Relay
	epoll  *sys.Epoll
	bell   int // another thread has news
	prover *proven.Prover
	scans  scanners
	leader bool // it hears PID 1

	listeners []listener
	deaf      time.Duration // until when the listeners are not watched; 0: they are
	spareFD   int           // is closed to accept a client when there is no other descriptor

	life *life         // nil: none is proven
	gate time.Duration // no client is connected before

	slots, unused []*conn
	waiting       queue
	retries       [proven.Steps]queue
	runnable      []*conn
	active        int

	start  time.Time
	now    time.Duration // since start, when the last events came
	events [256]sys.Ready
	chunk  []byte         // into which the next read goes
	spare  [][]byte       // more of them
	made   int            // the number of chunks that exist
	glass  [16 << 10]byte // for looking at bytes that stay where they are
}

type listener struct {
	fd   int
	addr netip.AddrPort
}

func newLoop(r *Relay, leader bool) (_ *loop, err error) {
	l := &loop{relay: r, leader: leader, start: time.Now(), spareFD: -1, prover: proven.NewProver()}
	if l.epoll, err = sys.NewEpoll(); err != nil {
		return nil, err
	}
	if l.bell, err = sys.EventFD(); err != nil {
		return nil, err
	}
	if err := l.epoll.Add(l.bell, sys.In, ofBell, 0); err != nil {
		return nil, err
	}
	if leader {
		if err := l.epoll.Add(r.config.Link.FD(), sys.In, ofLink, 0); err != nil {
			return nil, err
		}
	}
	for _, fd := range r.config.Listeners {
		addr, err := sys.ListenerAddr(fd)
		if err != nil {
			return nil, fmt.Errorf("cannot accept on descriptor %d: %w", fd, err)
		}
		if err := errors.Join(sys.SetNonBlocking(fd), sys.KeepAlive(fd, idle, patience)); err != nil {
			return nil, fmt.Errorf("cannot prepare descriptor %d: %w", fd, err)
		}
		l.listeners = append(l.listeners, listener{fd, addr})
	}
	if len(l.listeners) > 0 {
		l.prover.Test(l.listeners[0].addr, netip.AddrPort{})
	}
	l.scans.bell = l.bell
	l.chunk = make([]byte, chunkSize)
	l.made = 1
	return l, l.listen()
}

// listen watches the listeners. A listener that has clients left wakes the loop again.
func (l *loop) listen() error {
	for i, listener := range l.listeners {
		if err := l.epoll.Add(listener.fd, sys.In|sys.Exclusive, ofListener, int32(i)); err != nil {
			return fmt.Errorf("cannot watch descriptor %d: %w", listener.fd, err)
		}
	}
	l.deaf = 0
	return nil
}

// run is the loop. It returns when the relay stops.
func (l *loop) run() error {
	defer l.resetAll()
	l.openSpare()
	for {
		events, err := l.epoll.Wait(l.events[:], l.patience())
		if err != nil {
			return err
		}
		l.now = time.Since(l.start)
		for i := range events {
			stop, err := l.handle(&events[i])
			if stop || err != nil {
				return err
			}
		}
		if err := l.elapsed(); err != nil {
			return err
		}
		l.connectWaiting()
		l.copyMore()
	}
}

// handle handles one event.
func (l *loop) handle(e *sys.Ready) (stop bool, err error) {
	switch e.Fd {
	case ofListener:
		l.accept(&l.listeners[e.Pad])
	case ofLink:
		err = l.relay.hear()
	case ofBell:
		sys.Hear(l.bell)
		stop = l.adopt()
		l.takeScans()
	case ofGateway:
		if l.life != nil && int32(l.life.Generation) == e.Pad {
			l.lose()
		}
	default:
		if c, h := l.find(e.Fd, e.Pad); c != nil {
			l.heard(c, h, e.Events)
		}
	}
	return stop, err
}

// heard handles an event of one of a conn's sockets.
func (l *loop) heard(c *conn, h *half, events uint32) {
	if events&sys.Fault != 0 {
		if errno := sys.Failure(h.fd); errno != 0 {
			l.failed(c, h, errno)
			return
		}
	}
	if events&(sys.PeerEnd|sys.Hangup) != 0 {
		h.last, h.in = true, true
	}
	h.in = h.in || events&sys.In != 0
	h.out = h.out || events&sys.Out != 0
	switch {
	case c.state == copying:
		l.exchange(c)
	case h == &c.client && h.last:
		l.checkClient(c)
	case h == &c.gateway && c.state == proving && !c.scanned:
		l.look(c) // it is connected now, or was closed
	}
}

// adopt takes over the life that PID 1 has told last. The connections of another life
// are reset, and those of the same life go on: it was proven again.
func (l *loop) adopt() (stop bool) {
	next, stop := l.relay.current()
	if next != nil && next.Ended() { // PID 1 does not know yet
		next.release()
		next = nil
	}
	if stop || next == l.life {
		next.release()
		return stop
	}
	same := next != nil && l.life != nil && next.Generation == l.life.Generation
	if !same {
		l.lose()
	} else {
		l.unwatch()
	}
	l.life, l.gate = next, 0
	if next != nil && next.PIDFD >= 0 {
		// Without it the end is seen with the next connection, and PID 1 tells it.
		_ = l.epoll.Add(next.PIDFD, sys.In, ofGateway, int32(next.Generation))
	}
	return false
}

// unwatch gives up the life.
func (l *loop) unwatch() {
	if l.life != nil && l.life.PIDFD >= 0 {
		l.epoll.Remove(l.life.PIDFD)
	}
	l.life.release()
	l.life = nil
}

// lose resets what belongs to the life, which is over. A client that is not served yet
// waits for the next one.
func (l *loop) lose() {
	for _, c := range l.slots {
		switch c.state {
		case copying:
			l.abort(c)
		case proving:
			l.waitAgain(c)
		}
	}
	l.unwatch()
}

func (l *loop) resetAll() {
	for _, c := range l.slots {
		if c.state != free {
			l.end(c)
		}
	}
	l.unwatch()
	l.prover.Close()
}
