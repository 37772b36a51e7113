// SPDX-License-Identifier: Apache-2.0

package logring

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// sink lets one write through for each element of pass, and notes it.
type sink struct {
	pass chan struct{}
	err  error

	mu    sync.Mutex
	lines []string
	tried int
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.tried++
	s.mu.Unlock()
	<-s.pass
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, string(b))
	return len(b), s.err
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// writing waits until the n-th write has begun.
func (s *sink) writing(t *testing.T, n int) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("write %d begun", n), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.tried >= n
	})
}

// forever is a bound for Flush that no test should reach.
const forever = time.Minute

func open() *sink {
	s := &sink{pass: make(chan struct{})}
	close(s.pass)
	return s
}

func closed() *sink { return &sink{pass: make(chan struct{})} }

func TestWritesInOrder(t *testing.T) {
	s := open()
	r := New(s)
	var want []string
	for i := range 200 {
		line := fmt.Sprintf("line %d\n", i)
		want = append(want, line)
		if n, err := io.WriteString(r, line); n != len(line) || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	r.Flush(forever)
	if got := s.got(); strings.Join(got, "") != strings.Join(want, "") {
		t.Errorf("got %d lines, want %d in order", len(got), len(want))
	}
	r.Flush(forever) // returns at once, because nothing waits
}

// TestKeepsACopy checks that a logger can reuse its buffer.
func TestKeepsACopy(t *testing.T) {
	s := closed()
	r := New(s)
	buf := []byte("first\n")
	r.Write(buf)
	copy(buf, "XXXXX\n")
	close(s.pass)
	r.Flush(forever)
	if got := s.got(); len(got) != 1 || got[0] != "first\n" {
		t.Errorf("got %q", got)
	}
}

// TestBlocked checks that a reader of our log that stops does not stop PID 1. Every
// line is then either written or counted.
func TestBlocked(t *testing.T) {
	s := closed()
	r := New(s)
	const extra = 7
	for i := range maxLines + extra {
		fmt.Fprintf(r, "%d\n", i)
	}
	r.Flush(time.Millisecond) // it is bounded, though nothing is written
	if got := s.got(); len(got) != 0 {
		t.Fatalf("wrote %d lines through a blocked descriptor", len(got))
	}
	close(s.pass)
	r.Flush(forever)
	got := s.got()
	if len(got) != maxLines+1 || got[0] != "0\n" || got[maxLines-1] != fmt.Sprintf("%d\n", maxLines-1) {
		t.Fatalf("got %d lines", len(got))
	}
	if want := fmt.Sprintf(`","level":"warn","origin":"init","event":"log-dropped","lines":%d}`+"\n", extra); !strings.HasSuffix(got[maxLines], want) {
		t.Errorf("got %q, want %q", got[maxLines], want)
	}
}

// TestLineBesideTheCount checks that a line that comes while the count of dropped
// lines is written is not lost, and that Flush waits for both.
func TestLineBesideTheCount(t *testing.T) {
	s := closed()
	r := New(s)
	for range maxLines + 1 {
		io.WriteString(r, "x\n")
	}
	for range maxLines {
		s.pass <- struct{}{}
	}
	s.writing(t, maxLines+1) // the count
	flushed := make(chan struct{})
	go func() {
		r.Flush(forever)
		close(flushed)
	}()
	io.WriteString(r, "late\n")
	s.pass <- struct{}{}
	s.writing(t, maxLines+2)
	select {
	case <-flushed:
		t.Error("Flush did not wait")
	default:
	}
	s.pass <- struct{}{}
	<-flushed
	if got := s.got(); len(got) != maxLines+2 || !strings.Contains(got[maxLines], `"lines":1}`) || got[maxLines+1] != "late\n" {
		t.Errorf("got %d lines, the last are %q", len(got), got[maxLines:])
	}
}

// TestFlushWaitsForTheCount checks that the count is not cut off, because it is the
// last line of a container that ends.
func TestFlushWaitsForTheCount(t *testing.T) {
	s := closed()
	r := New(s)
	for range maxLines + 3 {
		io.WriteString(r, "x\n")
	}
	for range maxLines {
		s.pass <- struct{}{}
	}
	s.writing(t, maxLines+1)
	if !r.waiting() {
		t.Error("the count is being written, and nothing waits")
	}
	close(s.pass)
	r.Flush(forever)
	if got := s.got(); len(got) != maxLines+1 {
		t.Errorf("got %d lines, want %d", len(got), maxLines+1)
	}
}

// TestBroken checks that an error of the descriptor stops nothing.
func TestBroken(t *testing.T) {
	s := open()
	s.err = errors.New("broken")
	r := New(s)
	io.WriteString(r, "a\n")
	io.WriteString(r, "b\n")
	r.Flush(forever)
	if got := s.got(); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

// TestPipe checks a real descriptor that is full, and then closed by its reader.
func TestPipe(t *testing.T) {
	in, out, err := os.Pipe()
	testenv.Must(t, err)
	defer out.Close()
	r := New(out)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range 2 * maxLines { // far more than a pipe and the ring hold
		r.Write(line)
	}
	in.Close()
	r.Flush(forever)
	if r.waiting() {
		t.Error("a closed pipe keeps lines waiting")
	}
}

// TestManyWriters checks that no line is torn, or lost without being counted.
func TestManyWriters(t *testing.T) {
	s := open()
	r := New(s)
	const writers, each = 8, 400
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				fmt.Fprintf(r, "%d/%d\n", w, i)
			}
		})
	}
	wg.Wait()
	r.Flush(forever)
	lines, dropped := 0, 0
	next := map[int]int{}
	for _, line := range s.got() {
		var w, i, n int
		if _, rest, ok := strings.Cut(line, `"event":"log-dropped","lines":`); ok {
			if _, err := fmt.Sscanf(rest, "%d}", &n); err != nil {
				t.Fatal(line, err)
			}
			dropped += n
			continue
		}
		if _, err := fmt.Sscanf(line, "%d/%d\n", &w, &i); err != nil || i < next[w] {
			t.Fatalf("line %q after %d: %v", line, next[w], err)
		}
		next[w] = i + 1
		lines++
	}
	if lines+dropped != writers*each {
		t.Errorf("%d lines and %d dropped of %d", lines, dropped, writers*each)
	}
}
