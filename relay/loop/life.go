// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"io"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// askAgain is the least time between two requests to PID 1.
const askAgain = time.Second

// hear reads the messages of PID 1, in their order.
func (l *Loop) hear() error {
	for {
		u, ok, err := l.config.Link.Next()
		switch {
		case err == io.EOF:
			l.stopped.Store(true)
			return nil
		case err != nil:
			return err
		case !ok:
			return nil
		case !u.Proven:
			l.lose()
		default:
			relaycount.Add(&l.counters.Lives, 1)
			l.adopt(&u.Life)
		}
	}
}

// adopt takes over a life. The connections of another life are reset, and those of the
// same one go on: it was proven again.
func (l *Loop) adopt(next *proven.Life) {
	if l.life != nil && next.Generation == l.life.Generation {
		l.forget()
	} else {
		l.lose()
	}
	l.life, l.gate, l.asked = next, 0, 0
	if next.PIDFD >= 0 {
		// Without this the end is seen with the next connection, and PID 1 tells it.
		_ = l.epoll.Add(next.PIDFD, sys.In, ofGateway, int32(next.Generation))
	}
}

// forget gives up the life, and leaves its connections alone.
func (l *Loop) forget() {
	if l.life != nil && l.life.PIDFD >= 0 {
		l.epoll.Remove(l.life.PIDFD)
		sys.Close(l.life.PIDFD)
	}
	l.life = nil
}

// lose resets what belongs to the life, which is over. A client that is not served yet
// waits for the next one.
func (l *Loop) lose() {
	if l.life == nil {
		return
	}
	l.forget()
	for _, c := range l.slots {
		switch c.state {
		case copying:
			l.abort(c)
		case proving:
			l.waitAgain(c)
		}
	}
}

// askProof asks PID 1 to prove the gateway again, unless it was just asked.
func (l *Loop) askProof() {
	if l.asked == 0 || l.now-l.asked >= askAgain {
		l.asked = max(l.now, 1)
		l.config.Link.AskProof(l.life.Generation)
	}
}
