// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// The relay of the simulation. It dies now and then, may stop reading, and asks for proofs
// without need.

// addRelay gives the container a published port.
func (w *world) addRelay(c *Config) {
	c.Relay = &Relay{
		Launch: launch.Child{Spec: launch.Spec{Argv: []string{"relay"}}, UID: relayUID, Pass: make([]*os.File, 2)},
		Link: func() (RelayLink, *os.File, error) {
			if err := w.maybe(20); err != nil {
				return nil, nil, err
			}
			theirs, err := os.Open(os.DevNull)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.link = &worldLink{w: w, closed: make(chan struct{})}
			return w.link, theirs, err
		},
	}
}

// relayUID is the uid of the relay.
const relayUID = 1003

type worldLink struct {
	w      *world
	life   uint64 // the relay passes bytes to this one
	closed chan struct{}
}

// Send checks that the life is the newest gateway's, which lives and was proven.
func (l *worldLink) Send(life proven.Life) error {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.sometimes(30); err != nil {
		return syscall.EAGAIN
	}
	g := w.gateway()
	if life.Generation != uint64(w.launched) || !life.Addr.IsValid() {
		w.fail("the relay is told life %d at %s, and gateway number %d is the newest", life.Generation, life.Addr, w.launched)
	}
	if g != nil && !g.proven {
		w.fail("the relay is told life %d, which is not proven", life.Generation)
	}
	l.life = life.Generation
	return nil
}

func (l *worldLink) SendNone(uint64) error {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if err := l.w.sometimes(30); err != nil {
		return syscall.EAGAIN
	}
	l.life = 0
	return nil
}

func (l *worldLink) Next() (relaylink.Request, error) {
	l.w.mu.Lock()
	pause := l.w.upTo(2 * time.Minute)
	calm := l.w.calm
	life := l.life
	l.w.mu.Unlock()
	if calm {
		<-l.closed
		return relaylink.Request{}, os.ErrClosed
	}
	select {
	case <-time.After(pause):
		return relaylink.Request{Generation: life}, nil
	case <-l.closed:
		return relaylink.Request{}, os.ErrClosed
	}
}

func (l *worldLink) Close() error {
	close(l.closed)
	return nil
}

// checkRelay checks what must be true when a gateway starts: no relay passes bytes to the
// former one, except one that is about to die. The caller has the lock.
func (w *world) checkRelay() {
	for _, p := range w.all {
		if p.kind == "relay" && p.alive && w.link.life != 0 && !p.doomed {
			w.fail("the relay passes bytes to life %d when the next gateway starts", w.link.life)
		}
	}
}

// checkRelays checks that there is only one relay when one starts. The caller has the lock.
func (w *world) checkRelays() {
	n := 0
	for _, p := range w.all {
		if p.kind == "relay" && p.alive {
			n++
		}
	}
	if n > 1 {
		w.fail("%d relays", n)
	}
}
