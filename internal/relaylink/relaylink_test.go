// SPDX-License-Identifier: Apache-2.0

package relaylink

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func pair(t *testing.T) (*Supervisor, *Relay) {
	t.Helper()
	ours, theirs, err := Pair()
	testenv.Must(t, err)
	t.Cleanup(func() { ours.Close() })
	fd, err := unix.Dup(int(theirs.Fd())) // the relay owns a plain descriptor
	testenv.Must(t, err)
	testenv.Must(t, theirs.Close())
	r, err := Open(fd)
	testenv.Must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return ours, r
}

var (
	one  = proven.Life{Generation: 1<<40 + 1, Addr: netip.MustParseAddrPort("127.0.0.1:18789"), UID: 9001, Cookies: []uint64{1 << 50}, PIDFD: -1}
	many = proven.Life{Generation: 2, Addr: netip.MustParseAddrPort("[::1]:65535"), UID: 1<<32 - 2, Cookies: make([]uint64, proven.MaxCookies), PIDFD: -1}
)

func equal(a, b proven.Life) bool {
	return a.Generation == b.Generation && a.Addr == b.Addr && a.UID == b.UID && slices.Equal(a.Cookies, b.Cookies)
}

// TestLives checks that the relay gets each life as PID 1 has it, with a pidfd of its
// own.
func TestLives(t *testing.T) {
	s, r := pair(t)
	if u, ok, err := r.Next(); ok || err != nil {
		t.Fatalf("before the first: %+v, %v", u, err)
	}
	withPIDFD := one
	var err error
	withPIDFD.PIDFD, err = sys.PidfdOpen(os.Getpid())
	testenv.Must(t, err)
	defer unix.Close(withPIDFD.PIDFD)
	for _, life := range []proven.Life{one, many, withPIDFD} {
		testenv.Must(t, s.Send(life))
		u, ok, err := r.Next()
		if err != nil || !ok || !u.Proven || !equal(u.Life, life) {
			t.Errorf("sent %+v, got %+v, %v, %v", life, u, ok, err)
		}
		if has := u.Life.PIDFD >= 0; has != (life.PIDFD >= 0) {
			t.Errorf("got pidfd %d for %d", u.Life.PIDFD, life.PIDFD)
		}
		if u.Life.PIDFD >= 0 {
			testenv.Must(t, sys.PidfdSignal(u.Life.PIDFD, 0))
			unix.Close(u.Life.PIDFD)
		}
	}
	testenv.Must(t, s.SendNone(7))
	if u, ok, err := r.Next(); err != nil || !ok || u.Proven || u.Life.Generation != 7 {
		t.Errorf("none: %+v, %v, %v", u, ok, err)
	}
	testenv.Must(t, s.Close())
	if _, ok, err := r.Next(); ok || err != io.EOF {
		t.Errorf("after the end: %v, %v", ok, err)
	}
}

// TestNoBadLife checks that a life that cannot be encoded is an error, not another life.
func TestNoBadLife(t *testing.T) {
	s, r := pair(t)
	none, tooMany, nowhere := one, one, one
	none.Cookies, tooMany.Cookies, nowhere.Addr = nil, make([]uint64, proven.MaxCookies+1), netip.AddrPort{}
	for name, life := range map[string]proven.Life{"no-cookie": none, "too-many": tooMany, "no-address": nowhere} {
		if err := s.Send(life); !errors.Is(err, errMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok, err := r.Next(); ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
}

// TestRequests checks the relay's side, and that Next ends with either end.
func TestRequests(t *testing.T) {
	s, r := pair(t)
	r.AskProof(1<<63 + 5)
	if got, err := s.Next(); err != nil || got.Generation != 1<<63+5 {
		t.Errorf("got %+v, %v", got, err)
	}
	done := make(chan error)
	next := func() { _, err := s.Next(); done <- err }
	go next()
	unix.Shutdown(r.FD(), unix.SHUT_RDWR)
	if err := <-done; err != io.EOF {
		t.Errorf("the relay is gone: %v", err)
	}
	s, _ = pair(t)
	go next()
	testenv.Must(t, s.Close())
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestHostileRelay checks that PID 1 takes nothing but a request of the right size, and
// keeps no descriptor that comes with one.
func TestHostileRelay(t *testing.T) {
	request := Request{3}.encode()
	for name, c := range map[string]struct {
		packet []byte
		pass   bool
		ok     bool
	}{
		"request":            {request[:], false, true},
		"with-descriptor":    {request[:], true, false},
		"short":              {request[:15], false, false},
		"long":               {append(request[:], 0), false, false},
		"very-long":          {make([]byte, 4000), false, false},
		"other-version":      {append([]byte{2}, request[1:]...), false, false},
		"a-message-of-pid-1": {append([]byte{1, kindNone}, request[2:]...), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := pair(t)
			pass, before := -1, descriptors(t)
			if c.pass {
				pass = 0
			}
			testenv.Must(t, sys.SendPacket(r.FD(), c.packet, pass))
			if got, err := s.Next(); (err == nil) != c.ok || c.ok && got.Generation != 3 {
				t.Errorf("got %+v, %v", got, err)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors became %d", before, after)
			}
		})
	}
}

// TestRelayThatDoesNotRead checks that PID 1 does not wait for it, after few messages.
func TestRelayThatDoesNotRead(t *testing.T) {
	s, r := pair(t)
	sent := 0
	for ; sent < 100; sent++ {
		if err := s.Send(many); errors.Is(err, unix.EAGAIN) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if sent < 2 || sent == 100 {
		t.Errorf("%d messages were taken", sent)
	}
	for range 1000 {
		r.AskProof(1) // neither does the relay wait
	}
}

// TestHostileSupervisor checks that the relay leaves no descriptor open after a message
// that it refuses.
func TestHostileSupervisor(t *testing.T) {
	var life update
	testenv.Must(t, life.encode(kindLife, one))
	with := func(at int, value byte) []byte {
		c := life
		c[at] = value
		return c[:]
	}
	for name, packet := range map[string][]byte{
		"short": life[:updateSize-1], "long": append(life[:], 0), "version": with(0, 9), "kind": with(1, 9),
		"request": with(1, kindProve), "no-cookies": with(2, 0), "too-many": with(2, proven.MaxCookies+1), "family": with(3, 5),
	} {
		t.Run(name, func(t *testing.T) {
			s, r := pair(t)
			before := descriptors(t)
			testenv.Must(t, sys.SendPacketOn(s.file, packet, 0))
			if u, ok, err := r.Next(); ok || err == nil {
				t.Errorf("got %+v", u)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors became %d", before, after)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	testenv.Must(t, err)
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	for name, fd := range map[string]int{"stream": p[0], "file": 0, "closed": 1 << 20} {
		if _, err := Open(fd); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	testenv.Must(t, err)
	return len(entries)
}

// FuzzUpdate checks that an accepted message, encoded again, is the same life.
func FuzzUpdate(f *testing.F) {
	var u update
	for _, life := range []proven.Life{one, many} {
		testenv.Must(f, u.encode(kindLife, life))
		f.Add(u[:])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var u, again update
		copy(u[:], data)
		kind, life, err := u.decode()
		if err != nil {
			return
		}
		testenv.Must(t, again.encode(kind, life))
		if back, second, err := again.decode(); err != nil || back != kind || !equal(second, life) {
			t.Fatalf("%+v came back as %+v, %v", life, second, err)
		}
	})
}
