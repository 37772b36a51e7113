// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Times.
const (
	proofLimit = 5 * time.Second       // for a connection to the gateway and its proof
	stall      = time.Second           // for a connection that does not come about, before another try
	refusedFor = 20 * time.Millisecond // after the gateway has refused a connection, before the next one
	breather   = 10 * time.Millisecond // after accept(2) has failed for want of memory or files
)

// tuning is for both ends of a client. A browser in the background, or a program that was
// stopped, may take nothing for minutes.
var tuning = sys.Tuning{Idle: time.Minute, Patience: 10 * time.Minute, Buffer: 256 << 10}

// patience returns how long to wait for events: negative without end.
func (l *Loop) patience() time.Duration {
	if len(l.runnable) > 0 {
		return 0
	}
	next := time.Duration(1<<63 - 1)
	if c := l.waiting.first; c != nil {
		next = c.due
		if l.life != nil { // they wait for the gate, or for their turn
			next = min(next, l.gate)
		}
	}
	if l.deaf != 0 {
		next = min(next, l.deaf)
	}
	for i := range l.retries {
		if c := l.retries[i].first; c != nil {
			next = min(next, c.due)
		}
	}
	if next == 1<<63-1 {
		return -1
	}
	return max(next-time.Since(l.start), 0)
}

// elapsed does what is due.
func (l *Loop) elapsed() error {
	for c := l.waiting.first; c != nil && c.due <= l.now; c = l.waiting.first {
		reason := relaycount.NoLife
		if l.life != nil { // it is proven, and takes no connection
			reason = relaycount.DialFailed
		}
		l.refuse(c, reason, 0)
	}
	for i := range l.retries {
		for c := l.retries[i].first; c != nil && c.due <= l.now; c = l.retries[i].first {
			c.unqueue()
			l.look(c)
		}
	}
	if l.deaf != 0 && l.deaf <= l.now {
		return l.listen()
	}
	return nil
}
