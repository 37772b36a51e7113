// SPDX-License-Identifier: Apache-2.0

package client

import (
	"os"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
)

// relay holds the client's three descriptors and our ends of them.
//
// On a terminal all three are one pseudo-terminal. Without a terminal they are
// our own pipes, even if the caller's descriptors are pipes, files or sockets
// that could have been handed down, because docker exec holds the other ends of
// them.
type relay struct {
	client [3]*os.File // for the fork, closed after it
	in     *os.File    // our end of the client's input
	out    []stream
	gone   chan struct{} // the caller's terminal has vanished
	done   chan struct{} // one for each of out
	screen *screen
}

// stream is one output, from the client to the caller.
type stream struct{ from, to *os.File }

// Stdio holds the caller's descriptors. Without In the client reads an end of
// file.
type Stdio struct{ In, Out, Err *os.File }

// pipes returns a relay without a terminal.
func pipes(io Stdio) (*relay, error) {
	r := newRelay()
	var ends []*os.File
	for range 3 {
		from, to, err := os.Pipe()
		if err != nil {
			for _, f := range ends {
				f.Close()
			}
			return nil, err
		}
		ends = append(ends, from, to)
	}
	r.client = [3]*os.File{ends[0], ends[3], ends[5]}
	r.in = ends[1]
	r.out = []stream{{ends[2], io.Out}, {ends[4], io.Err}}
	return r, nil
}

// terminal returns a relay with a terminal. The caller's terminal is raw from
// here on, until restore.
func terminal(io Stdio, u users.User) (*relay, error) {
	master, slave, err := openTerminal(u)
	if err != nil {
		return nil, err
	}
	r := newRelay()
	r.client = [3]*os.File{slave, slave, slave}
	r.in, r.out = master, []stream{{master, io.Out}}
	// If there is no size yet (an engine sets it a moment later), it comes with
	// SIGWINCH.
	_ = sys.CopySize(io.In, master)
	if r.screen, err = makeRaw(io.In); err != nil {
		slave.Close()
		master.Close()
		return nil, err
	}
	return r, nil
}

func newRelay() *relay { return &relay{gone: make(chan struct{}, 4), done: make(chan struct{}, 2)} }

// begin starts to copy, once the client runs. It closes our copies of the
// client's ends, because the client must have the last ones.
func (r *relay) begin(in *os.File, tty bool) {
	r.closeClient()
	for _, s := range r.out {
		go func() {
			defer r.guard()
			r.copyOut(s, tty)
			r.done <- struct{}{}
		}()
	}
	if in == nil {
		r.in.Close()
		return
	}
	go func() {
		defer r.guard()
		r.copyIn(in, tty)
	}()
}

func (r *relay) closeClient() {
	for _, f := range r.client {
		if f != nil {
			f.Close()
		}
	}
}

// guard restores the terminal if a bug of this program panics, so that the
// terminal is not left raw.
func (r *relay) guard() {
	if p := recover(); p != nil {
		r.screen.restore()
		panic(p)
	}
}

// copyOut copies until the client's end is closed. When the caller's end is
// gone, a pipe is closed, so that the client gets the same error as if it wrote
// there itself. A terminal is hung up, and emptied so that nothing waits in it.
func (r *relay) copyOut(s stream, tty bool) {
	buf := make([]byte, bufSize)
	for lost := false; ; {
		n, err := s.from.Read(buf)
		if n > 0 && !lost {
			if _, failed := s.to.Write(buf[:n]); failed != nil {
				if !tty {
					s.from.Close()
					return
				}
				lost = true
				r.hangup()
			}
		}
		if err != nil { // io.EOF, and EIO of a terminal that no process has open
			return
		}
	}
}

// copyIn copies the caller's input. At its end the client gets an end of file
// from a pipe, and a hangup from a terminal, because a terminal in raw mode has
// no end of file.
func (r *relay) copyIn(in *os.File, tty bool) {
	buf := make([]byte, bufSize)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if _, failed := r.in.Write(buf[:n]); failed != nil { // no process reads it any more
				err = failed
			}
		}
		switch {
		case err != nil && tty:
			r.hangup()
			return
		case err != nil:
			r.in.Close()
			return
		}
	}
}

const bufSize = 32 << 10

func (r *relay) hangup() {
	select {
	case r.gone <- struct{}{}:
	default:
	}
}

// drain waits for the last output of the client. The reader of our output may
// take as long as it likes. The wait has a bound only if a process that we could
// not kill holds the other end, or if a signal told us to stop.
func (r *relay) drain(survivors bool, hurry <-chan os.Signal) {
	if survivors {
		for _, s := range r.out {
			s.from.SetReadDeadline(time.Now().Add(drainBound))
		}
	}
	var late <-chan time.Time
	for left := len(r.out); left > 0; {
		select {
		case <-r.done:
			left--
		case <-hurry:
			late = time.After(drainBound)
		case <-late:
			return
		}
	}
}

const drainBound = time.Second
