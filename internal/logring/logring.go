// SPDX-License-Identifier: Apache-2.0

// Package logring is a writer that never blocks. It is a bounded queue of lines in
// front of a descriptor that may be slow, full, blocked or closed. PID 1 must not
// wait for the reader of its log.
package logring

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// TimeFormat is the time of a log line: RFC 3339, in milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// maxLines bounds the queue. One of our lines is some 200 bytes.
const maxLines = 512

// Ring queues lines. When it is full new lines are dropped and counted; the
// count is written as a line of its own once there is room.
type Ring struct {
	mu      sync.Mutex
	lines   [][]byte
	dropped int
	wake    chan struct{}
	idle    chan struct{} // has an element while the queue is empty
	w       io.Writer
}

// New starts the one goroutine that writes to w. w should wait in the runtime's
// poller (a non-blocking descriptor), so that a blocked write holds no thread.
func New(w io.Writer) *Ring {
	r := &Ring{wake: make(chan struct{}, 1), idle: make(chan struct{}, 1), w: w}
	go r.run()
	return r
}

// Write takes one line; it never blocks and never fails.
func (r *Ring) Write(line []byte) (int, error) {
	r.mu.Lock()
	if len(r.lines) < maxLines {
		r.lines = append(r.lines, append([]byte(nil), line...))
	} else {
		r.dropped++
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// Flush waits until everything was written, or d has passed.
func (r *Ring) Flush(d time.Duration) {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	for r.waiting() {
		select {
		case <-r.idle:
		case <-deadline.C:
			return
		}
	}
}

func (r *Ring) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lines) > 0 || r.dropped > 0
}

func (r *Ring) run() {
	for range r.wake {
		for {
			line, written := r.next()
			if line == nil {
				break
			}
			r.w.Write(line) // an error means that there is no reader, so it is ignored
			written()
		}
		select {
		case r.idle <- struct{}{}:
		default:
		}
	}
}

// next returns the line to write, or nil. The line leaves the ring only when written
// is called, and until then Flush waits for it.
func (r *Ring) next() (line []byte, written func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) > 0 {
		return r.lines[0], func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lines[0] = nil
			r.lines = r.lines[1:]
		}
	}
	n := r.dropped
	if n == 0 {
		return nil, nil
	}
	return DroppedLine(n), func() { // meanwhile more may have come, and more may have been dropped
		r.mu.Lock()
		defer r.mu.Unlock()
		r.dropped -= n
	}
}

// DroppedLine returns the log line that says that n lines had no room.
func DroppedLine(n int) []byte {
	return fmt.Appendf(nil, `{"time":%q,"level":"warn","origin":"init","event":"log-dropped","lines":%d}`+"\n",
		time.Now().UTC().Format(TimeFormat), n)
}
