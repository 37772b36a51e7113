// SPDX-License-Identifier: Apache-2.0

// Package loop is the relay itself. For each client it connects to the gateway, proves
// that connection, and copies bytes both ways. It knows no protocol.
//
// One Relay has a few loops. Each of them is an epoll(7) loop on a thread of its own,
// and has its own clients from accept(2) to close(2), so a loop needs no locks. The
// loops share the life that PID 1 has told, the bounds and the counters.
package loop

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/relay/bounds"
)

// Config is what a Relay needs. The Relay owns the descriptors.
type Config struct {
	Listeners []int // TCP sockets that listen and do not block
	Link      *relaylink.Relay
	Counters  *relaycount.Page
	Limits    bounds.Limits
	Wait      time.Duration // how long a client waits for a gateway
	Operator  uint32        // its local clients, and root's, are favored
	Loops     int
	Log       Log
}

// Log writes lines. It must not make a loop wait.
type Log interface {
	// Refused is called for each client that is refused. With a Foreign reason, uid is
	// the user whose socket was found.
	Refused(r relaycount.Reason, uid uint32)
}

// Relay is what the loops share.
type Relay struct {
	config   Config
	bounds   *bounds.Bounds
	counters *relaycount.Counters
	loops    []*loop

	mu     sync.Mutex
	life   *life // nil: none is proven
	asked  time.Time
	closed bool
}

// life is a proven life that several loops use. Its last user closes the pidfd.
type life struct {
	proven.Life
	mu    sync.Mutex
	users int
}

func (l *life) retain() *life {
	if l != nil {
		l.mu.Lock()
		l.users++
		l.mu.Unlock()
	}
	return l
}

func (l *life) release() {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.users--
	last := l.users == 0
	l.mu.Unlock()
	if last && l.PIDFD >= 0 {
		sys.Close(l.PIDFD)
	}
}

// New opens what the loops need.
func New(c Config) (*Relay, error) {
	r := &Relay{config: c, bounds: bounds.New(c.Limits), counters: c.Counters.Counters()}
	for n := range c.Loops {
		l, err := newLoop(r, n == 0)
		if err != nil {
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	return r, nil
}

// Way returns how the loops ask the kernel.
func (r *Relay) Way() proven.Way { return r.loops[0].prover.Way() }

// Run serves until PID 1 closes its end of the link, or Stop is called. All connections
// are reset then. An error means that the relay cannot go on.
func (r *Relay) Run() error {
	ended := make(chan error, len(r.loops))
	for _, l := range r.loops {
		go func() {
			runtime.LockOSThread()
			err := l.run()
			r.Stop()
			ended <- err
		}()
	}
	var failed error
	for range r.loops {
		failed = errors.Join(failed, <-ended)
	}
	r.publish(nil)
	return failed
}

// Stop makes Run return.
func (r *Relay) Stop() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
}

func (r *Relay) wake() {
	for _, l := range r.loops {
		sys.Ring(l.bell)
	}
}

// hear reads the messages of PID 1. The last one counts, but each life must be closed.
func (r *Relay) hear() error {
	for {
		u, ok, err := r.config.Link.Next()
		switch {
		case err == io.EOF:
			r.Stop()
			return nil
		case err != nil:
			return err
		case !ok:
			return nil
		case !u.Proven:
			r.publish(nil)
		default:
			relaycount.Add(&r.counters.Lives, 1)
			r.publish(&life{Life: u.Life, users: 1})
		}
	}
}

// publish makes l the life of all loops, which may be none.
func (r *Relay) publish(l *life) {
	r.mu.Lock()
	before := r.life
	r.life = l
	r.asked = time.Time{}
	r.mu.Unlock()
	before.release()
	r.wake()
}

// current returns the life for one loop, which releases it, and whether to stop.
func (r *Relay) current() (l *life, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.life.retain(), r.closed
}

// askAgain is the least time between two requests to PID 1.
const askAgain = time.Second

// askProof asks PID 1 to prove the gateway again, unless it was just asked.
func (r *Relay) askProof(generation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.asked) >= askAgain {
		r.asked = now
		r.config.Link.AskProof(generation)
	}
}
