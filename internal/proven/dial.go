// SPDX-License-Identifier: Apache-2.0

package proven

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Pause is the time between two looks at a connection. It starts at firstPause and
// doubles up to lastPause.
type Pause time.Duration

const (
	firstPause = 50 * time.Microsecond
	lastPause  = 20 * time.Millisecond
)

// Next returns the pause before the next look.
func (p *Pause) Next() time.Duration {
	*p = min(max(*p*2, Pause(firstPause)), Pause(lastPause))
	return time.Duration(*p)
}

// Steps is the number of different pauses.
const Steps = 10

// Step returns which of the pauses the last one was.
func (p Pause) Step() int {
	step := 0
	for at := Pause(firstPause); at < p && step < Steps-1; at *= 2 {
		step++
	}
	return step
}

// Error says why a connection was not proven. Its Verdict is Again if the time was over.
type Error struct {
	Finding
	Addr netip.AddrPort
}

// Error returns one line.
func (e *Error) Error() string {
	switch e.Verdict {
	case Again:
		return fmt.Sprintf("cannot prove the connection to %v: it could not be found out in time which process has its other end", e.Addr)
	case Foreign:
		return fmt.Sprintf("cannot prove the connection to %v: a socket of uid %d is there", e.Addr, e.UID)
	}
	return fmt.Sprintf("cannot prove the connection to %v: %v", e.Addr, e.Verdict)
}

// ErrClosed means that the other end has closed or reset the connection before it could
// be proven.
var ErrClosed = fmt.Errorf("the connection was closed before it could be proven")

// Dial connects to the gateway of the life and proves the connection, before the
// deadline. No byte was sent on the connection that it returns, and the caller closes it.
// An error of the proof itself is an *Error.
//
// The agent can answer for the gateway on some of the ports from which we connect. A
// second try comes from another address, where it cannot know the port.
func Dial(life *Life, deadline time.Time) (*sys.Conn, error) {
	c, err := dialFrom(netip.Addr{}, life, deadline)
	var e *Error
	if errors.As(err, &e) && e.Aside && IsV4Loopback(life.Addr.Addr()) {
		return dialFrom(sys.OtherLoopback(), life, deadline)
	}
	return c, err
}

// IsV4Loopback reports whether connections to a can come from all of 127.0.0.0/8.
func IsV4Loopback(a netip.Addr) bool { return a.Is4() && a.IsLoopback() }

func dialFrom(from netip.Addr, life *Life, deadline time.Time) (*sys.Conn, error) {
	if life.Ended() {
		return nil, &Error{Finding{Verdict: Ended}, life.Addr}
	}
	c, err := sys.DialTCPFrom(from, life.Addr, deadline)
	if err != nil {
		return nil, err
	}
	p := NewProver()
	defer p.Close()
	if err := p.prove(life, c, deadline); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Check connects, proves and closes.
func Check(life *Life, deadline time.Time) error {
	c, err := Dial(life, deadline)
	if err == nil {
		c.Close()
	}
	return err
}

// prove looks until the connection is proven. A blind kernel never proves one, so the
// Prover is tested only if the first look does not.
func (p *Prover) prove(life *Life, c *sys.Conn, deadline time.Time) error {
	client, err := c.LocalAddr()
	if err != nil {
		return err
	}
	var pause Pause
	for look, closed := 1, false; ; look++ {
		f := p.Look(life, client)
		switch {
		case f.Verdict == Proven:
			return nil
		case f.Verdict == Again && closed, f.Verdict == Failed && isReadable(c): // a reset connection is in no table
			return ErrClosed
		case f.Verdict == Again && !time.Now().Before(deadline), f.Verdict != Again:
			return &Error{f, life.Addr}
		}
		// If there is something to read before the proof, the connection was accepted
		// meanwhile or has ended, and one more look tells which.
		if closed, err = c.Readable(pause.Next()); err != nil && err != os.ErrDeadlineExceeded {
			return err
		}
		if look == 1 && !closed {
			p.Test(client, life.Addr)
		}
	}
}

func isReadable(c *sys.Conn) bool {
	readable, err := c.Readable(0)
	return readable && err == nil
}
