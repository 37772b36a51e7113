package client

import (
	"os"
	"time"

	"gatewayinit/internal/sys"
	"gatewayinit/internal/users"
)

// relay is the client's three descriptors and our ends of them.
//
// On a terminal all three are one pseudo-terminal. Without, they are pipes of
// ours even where the caller's descriptors are pipes, files or sockets that
// could have been handed down: docker exec holds the other ends of them.
type relay struct {
	client [3]*os.File // for the fork, closed after it
	in     *os.File    // what the client reads, written by us
	out    []stream
	gone   chan struct{} // the caller's terminal has vanished
	done   chan struct{} // one for each of out
	screen *screen
}

// stream is one direction out: from the client to the caller.
type stream struct{ from, to *os.File }

// Stdio is the caller's. Without In the client reads an end of file.
type Stdio struct{ In, Out, Err *os.File }

// pipes is a relay without a terminal.
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

// terminal is a relay with one: the caller's is raw from here on, until restore.
func terminal(io Stdio, u users.User) (*relay, error) {
	master, slave, err := openTerminal(u)
	if err != nil {
		return nil, err
	}
	r := newRelay()
	r.client = [3]*os.File{slave, slave, slave}
	r.in, r.out = master, []stream{{master, io.Out}}
	// Without a size (an engine sets it a moment later) it comes with SIGWINCH.
	_ = sys.CopySize(io.In, master)
	if r.screen, err = makeRaw(io.In); err != nil {
		slave.Close()
		master.Close()
		return nil, err
	}
	return r, nil
}

func newRelay() *relay { return &relay{gone: make(chan struct{}, 4), done: make(chan struct{}, 2)} }

// begin starts to copy, once the client runs. Our copies of its ends are closed:
// its end must be the last one.
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

// guard is for a bug of ours: the terminal is not left raw over it.
func (r *relay) guard() {
	if p := recover(); p != nil {
		r.screen.restore()
		panic(p)
	}
}

// copyOut copies until the client's end is closed. When the caller's end is
// gone, a pipe is closed, so that the client is told as if it wrote there
// itself; a terminal is emptied, so that nothing waits in it, and hung up.
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
		if err != nil { // io.EOF, and EIO of a terminal that nobody has open
			return
		}
	}
}

// copyIn copies what the caller writes. Its end is the client's end of file in a
// pipe, and a hangup on a terminal: one in raw mode has no other.
func (r *relay) copyIn(in *os.File, tty bool) {
	buf := make([]byte, bufSize)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if _, failed := r.in.Write(buf[:n]); failed != nil { // nobody reads it any more
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

// drain waits for what the client wrote last. Whoever reads our output may take
// as long as it likes; only what would never end has a bound: a process that we
// could not kill and that holds the other end, or somebody who told us to stop.
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
