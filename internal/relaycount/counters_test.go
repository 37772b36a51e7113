// SPDX-License-Identifier: Apache-2.0

package relaycount

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func newFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), Name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	testenv.Must(t, err)
	t.Cleanup(func() { f.Close() })
	testenv.Must(t, Init(f))
	return f
}

// TestCounters checks that a reader sees every number that the relay counts, and that
// the next relay goes on from there.
func TestCounters(t *testing.T) {
	f := newFile(t)
	if c, err := Read(f); err != nil || c != (Counters{}) {
		t.Errorf("new: %+v, %v", c, err)
	}
	p, err := Map(int(f.Fd()))
	testenv.Must(t, err)
	want := Counters{Accepted: 9, Active: 4, Served: 3, ToGateway: 1 << 40, ToClient: 1 << 41, Resets: 6, Lives: 2, LastForeign: 1 << 32}
	for r := range Reasons {
		for range r + 1 {
			p.Refuse(r)
		}
		want.Refused[r] = uint64(r) + 1
	}
	c := p.Counters()
	for number, n := range map[*uint64]uint64{&c.Accepted: 9, &c.Active: 4, &c.Served: 3, &c.ToGateway: 1 << 40, &c.ToClient: 1 << 41, &c.Resets: 6, &c.Lives: 2} {
		Add(number, n)
	}
	p.Found(1<<32 - 1)
	if c, err := Read(f); err != nil || c != want {
		t.Errorf("got %+v, %v; want %+v", c, err, want)
	}
	if uid, ok := want.ForeignUID(); !ok || uid != 1<<32-1 {
		t.Errorf("foreign uid %d, %v", uid, ok)
	}
	if _, ok := (Counters{}).ForeignUID(); ok {
		t.Error("a foreign uid that was not found")
	}
	_, err = Map(int(f.Fd()))
	testenv.Must(t, err)
	want.Active = 0
	if c, err := Read(f); err != nil || c != want {
		t.Errorf("the next relay: %+v, %v; want %+v", c, err, want)
	}
}

// TestRefusesOtherFiles checks that a file that is not what PID 1 made gives an error.
func TestRefusesOtherFiles(t *testing.T) {
	for name, spoil := range map[string]func(*os.File) error{
		"empty":         func(f *os.File) error { return f.Truncate(0) },
		"short":         func(f *os.File) error { return f.Truncate(20) },
		"other-magic":   func(f *os.File) error { _, err := f.WriteAt([]byte{1}, 0); return err },
		"other-version": func(f *os.File) error { _, err := f.WriteAt([]byte{9}, 8); return err },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFile(t)
			testenv.Must(t, spoil(f))
			if _, err := Read(f); !errors.Is(err, errNotCounters) && !errors.Is(err, io.EOF) {
				t.Errorf("read: %v", err)
			}
			if _, err := Map(int(f.Fd())); !errors.Is(err, errNotCounters) {
				t.Errorf("mapped: %v", err)
			}
		})
	}
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	defer r.Close()
	defer w.Close()
	if _, err := Map(int(r.Fd())); !errors.Is(err, errNotCounters) {
		t.Errorf("a pipe: %v", err)
	}
}

// TestReasons checks that each reason has a word of its own.
func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for r := range Reasons {
		if s := r.String(); s == "" || s == "unknown" || seen[s] {
			t.Errorf("reason %d is %q", r, s)
		}
		seen[r.String()] = true
	}
	if Reasons.String() != "unknown" {
		t.Error("a reason that does not exist has a word")
	}
	if n := reflect.TypeFor[Counters]().Size(); header+int(n) > Size || int(n) != 8*fields {
		t.Errorf("%d bytes of counters", n)
	}
}
