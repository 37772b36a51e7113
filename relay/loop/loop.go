// SPDX-License-Identifier: Apache-2.0

// Package loop is the relay itself. For each client it connects to the gateway, proves
// that connection, and copies bytes both ways. It knows no protocol.
//
// It is one epoll(7) loop on one thread. One thread copies 10 Gbit/s and more, and a
// second one would compete with the gateway and its clients for the processors.
package loop

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/relay/bounds"
)

// Config is what a Loop needs. The Loop owns the descriptors.
type Config struct {
	Listeners []int // TCP sockets that listen
	Link      *relaylink.Relay
	Counters  *relaycount.Page
	Limits    bounds.Limits
	Wait      time.Duration // how long a client waits for a gateway
	Operator  uint32        // its local clients, and root's, are favored
	Log       Log
}

// Log writes lines. It must not make the loop wait.
type Log interface {
	// Refused is called for each client that is refused. For the reason Foreign, uid is
	// the user whose socket was found.
	Refused(r relaycount.Reason, uid uint32)
}

// Sources of events that are not a conn's, in the place of its slot.
const (
	ofListener = -1 - iota // the mark is its index
	ofLink
	ofBell
	ofGateway // its pidfd; the mark is the low half of the generation
)

// Loop serves clients on one thread.
type Loop struct {
	config   Config
	bounds   *bounds.Bounds
	counters *relaycount.Counters
	epoll    *sys.Epoll
	bell     int // another goroutine has news
	stopped  atomic.Bool
	prover   *proven.Prover
	scans    scanners

	listeners []listener
	deaf      time.Duration // until when the listeners are not watched; 0: they are
	spareFD   int           // is closed to accept a client when there is no other descriptor

	life  *proven.Life  // nil: none is proven; the Loop owns its pidfd
	gate  time.Duration // no client is connected before
	asked time.Duration // when PID 1 was last asked for a proof; 0: never for this life

	slots, unused []*conn
	waiting       queue
	retries       [proven.Steps]queue
	runnable      []*conn

	start  time.Time
	now    time.Duration // since start, when the last events came
	events [256]sys.Ready
	chunk  []byte         // into which the next read goes; nil: all of them hold something
	spare  [][]byte       // free ones
	made   int            // the number of chunks that exist
	glass  [16 << 10]byte // for bytes that are looked at and stay where they are
}

type listener struct {
	fd   int
	addr netip.AddrPort
}

// New opens what a Loop needs.
func New(c Config) (_ *Loop, err error) {
	l := &Loop{config: c, bounds: bounds.New(c.Limits), counters: c.Counters.Counters(), start: time.Now(),
		spareFD: -1, prover: proven.NewProver(), chunk: make([]byte, chunkSize), made: 1}
	if l.epoll, err = sys.NewEpoll(); err != nil {
		return nil, err
	}
	if l.bell, err = sys.EventFD(); err != nil {
		return nil, err
	}
	l.scans.bell = l.bell
	if err := errors.Join(l.epoll.Add(l.bell, sys.In, ofBell, 0), l.epoll.Add(c.Link.FD(), sys.In, ofLink, 0)); err != nil {
		return nil, err
	}
	for _, fd := range c.Listeners {
		addr, err := sys.ListenerAddr(fd)
		if err == nil {
			err = errors.Join(sys.SetNonBlocking(fd), sys.Tune(fd, tuning))
		}
		if err != nil {
			return nil, fmt.Errorf("cannot accept on descriptor %d: %w", fd, err)
		}
		l.listeners = append(l.listeners, listener{fd, addr})
	}
	if len(l.listeners) > 0 {
		l.prover.Test(l.listeners[0].addr, netip.AddrPort{})
	}
	return l, l.listen()
}

// Way returns how the kernel is asked.
func (l *Loop) Way() proven.Way { return l.prover.Way() }

// Stop makes Run return. It may be called from another goroutine.
func (l *Loop) Stop() {
	l.stopped.Store(true)
	sys.Ring(l.bell)
}

// listen watches the listeners. One that has clients left wakes the loop again.
func (l *Loop) listen() error {
	for i, listener := range l.listeners {
		if err := l.epoll.Add(listener.fd, sys.In, ofListener, int32(i)); err != nil {
			return fmt.Errorf("cannot watch descriptor %d: %w", listener.fd, err)
		}
	}
	l.deaf = 0
	return nil
}

// Run serves until PID 1 closes its end of the link, or Stop is called. All connections
// are reset then. An error means that it cannot go on.
func (l *Loop) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer l.resetAll()
	l.openSpare()
	for !l.stopped.Load() {
		events, err := l.epoll.Wait(l.events[:], l.patience())
		if err != nil {
			return err
		}
		l.now = time.Since(l.start)
		for i := range events {
			if err := l.handle(&events[i]); err != nil {
				return err
			}
		}
		if err := l.elapsed(); err != nil {
			return err
		}
		l.connectWaiting()
		l.copyMore()
	}
	return nil
}

// handle handles one event.
func (l *Loop) handle(e *sys.Ready) error {
	switch e.Fd {
	case ofListener:
		l.accept(&l.listeners[e.Pad])
	case ofLink:
		return l.hear()
	case ofBell:
		sys.Hear(l.bell)
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
	return nil
}

// heard handles an event of one of a conn's sockets.
func (l *Loop) heard(c *conn, h *half, events uint32) {
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
		l.look(c) // it has sent something, so it was accepted
	}
}

func (l *Loop) resetAll() {
	for _, c := range l.slots {
		if c.state != free {
			l.end(c)
		}
	}
	l.forget()
	l.prover.Close()
	l.epoll.Close()
	if l.spareFD >= 0 {
		sys.Close(l.spareFD)
	}
}
