// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func newAsker(t testing.TB) *Asker {
	t.Helper()
	a, err := NewAsker()
	testenv.Must(t, err)
	t.Cleanup(a.Close)
	return a
}

// TestAskerFindsListeners checks each form of a listener, by the address that a client
// uses.
func TestAskerFindsListeners(t *testing.T) {
	a := newAsker(t)
	for name, c := range map[string]struct {
		network, host, ask string
		found              bool
	}{
		"v4":                   {"tcp4", "127.0.0.1:0", "127.0.0.1", true},
		"v4-other-address":     {"tcp4", "127.0.0.9:0", "127.0.0.1", false},
		"v4-any":               {"tcp4", "0.0.0.0:0", "127.0.0.1", true},
		"v6":                   {"tcp6", "[::1]:0", "::1", true},
		"v6-for-v4":            {"tcp6", "[::]:0", "127.0.0.1", false},
		"dual-stack-by-v4":     {"tcp", "[::]:0", "127.0.0.1", true},
		"dual-stack-by-v6":     {"tcp", "[::]:0", "::1", true},
		"v4-for-v6":            {"tcp4", "0.0.0.0:0", "::1", false},
		"itself-by-a-wildcard": {"tcp4", "0.0.0.0:0", "0.0.0.0", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := testenv.Serve(t, c.network, c.host, me, nil)
			got, ok, err := a.Lookup(netip.AddrPortFrom(netip.MustParseAddr(c.ask), s.Port()), netip.AddrPort{})
			testenv.Must(t, err)
			ls, err := Listeners(s.Port())
			testenv.Must(t, err)
			// Another process may have the port at an address that is not ours.
			isOurs := ok && slices.ContainsFunc(ls, func(l Listener) bool { return l.Addr == s.Addr && l.Cookie == got.Cookie })
			if isOurs != c.found || isOurs && (got.State != Listening || got.UID != me || got.Local.Port() != s.Port()) {
				t.Errorf("the lookup says %+v, %v, the dump %+v", got, ok, ls)
			}
		})
	}
}

// TestAskerFindsDevice checks that a listener that is bound to the device lo, which any
// user may do, is found in its place.
func TestAskerFindsDevice(t *testing.T) {
	a := newAsker(t)
	l := testenv.Listen(t, "127.0.0.1:0")
	raw, err := l.SyscallConn()
	testenv.Must(t, err)
	raw.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), "lo") })
	testenv.Must(t, err)
	addr := netip.MustParseAddrPort(l.Addr().String())
	if got, ok, err := a.Lookup(addr, netip.AddrPort{}); err != nil || !ok || got.State != Listening {
		t.Errorf("got %+v, %v, %v", got, ok, err)
	}
}

// TestAskerConnection checks both ends of a connection, and that the answer for one that
// does not exist is the listener.
func TestAskerConnection(t *testing.T) {
	a := newAsker(t)
	for name, host := range map[string]string{"v4": "127.0.0.1:0", "v6": "[::1]:0", "dual-stack": "[::]:0"} {
		t.Run(name, func(t *testing.T) {
			s := testenv.Serve(t, "tcp", host, me, keep)
			conn, err := net.Dial("tcp", s.Addr.String())
			testenv.Must(t, err)
			defer conn.Close()
			client, server := netip.MustParseAddrPort(conn.LocalAddr().String()), netip.MustParseAddrPort(conn.RemoteAddr().String())
			testenv.Eventually(t, "accepted", func() bool { return s.Accepted() == 1 })
			for _, ends := range [][2]netip.AddrPort{{server, client}, {client, server}} {
				got, ok, err := a.Lookup(ends[0], ends[1])
				if err != nil || !ok || !sameTuple(got, ends[0], ends[1]) || got.State != Established || got.UID != me || got.Inode == 0 {
					t.Errorf("%v: got %+v, %v, %v", ends, got, ok, err)
				}
			}
			other := netip.AddrPortFrom(client.Addr(), 1) // no process has it
			if got, ok, err := a.Lookup(server, other); err != nil || !ok || got.State != Listening {
				t.Errorf("no such connection: %+v, %v, %v", got, ok, err)
			}
			if got, ok, err := a.Lookup(other, server); err != nil || ok {
				t.Errorf("no such end: %+v, %v", got, err)
			}
		})
	}
}

// TestAskerListeners checks that a dump after it has every listener of the port, with
// those that take IPv6 alone marked.
func TestAskerListeners(t *testing.T) {
	a := newAsker(t)
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
	port := s.Addr.String()[len("127.0.0.1"):]
	testenv.Serve(t, "tcp6", "[::]"+port, stranger, nil)
	all, err := a.Listeners(s.Port(), true)
	if err != nil || len(all) != 2 || !all[0].V6Only || all[1].V6Only || all[1].UID != me {
		t.Errorf("got %+v, %v", all, err)
	}
	if all, err := a.Listeners(s.Port(), false); err != nil || len(all) != 1 || all[0].UID != stranger {
		t.Errorf("without IPv4: %+v, %v", all, err)
	}
	dual := testenv.Serve(t, "tcp", "[::]:0", me, nil)
	if all, err := a.Listeners(dual.Port(), true); err != nil || len(all) != 1 || all[0].V6Only {
		t.Errorf("dual-stack: %+v, %v", all, err)
	}
}

// TestAskerSkipsLeftovers checks that the rest of an answer that was given up is not
// taken for the next one.
func TestAskerSkipsLeftovers(t *testing.T) {
	a := newAsker(t)
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
	testenv.Must(t, a.conn.Send(diagRequest(unix.AF_INET, 1<<Listening, netip.AddrPort{}, netip.AddrPort{}, true)))
	if got, ok, err := a.Lookup(s.Addr, netip.AddrPort{}); err != nil || !ok || got.Local != s.Addr {
		t.Errorf("got %+v, %v, %v", got, ok, err)
	}
}

// TestAskerRefused checks that a seccomp filter without netlink is told apart.
func TestAskerRefused(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Refuse(t, unix.EPERM, unix.SYS_SOCKET)
	if _, err := NewAsker(); !IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
}

// TestAskerMakesNoGarbage checks that a relay can look up each connection.
func TestAskerMakesNoGarbage(t *testing.T) {
	a := newAsker(t)
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
	if n := testing.AllocsPerRun(100, func() { a.Lookup(s.Addr, netip.AddrPort{}) }); n != 0 {
		t.Errorf("%v allocations for each lookup", n)
	}
}

func BenchmarkAskerLookup(b *testing.B) {
	a := newAsker(b)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	testenv.Must(b, err)
	defer l.Close()
	addr := netip.MustParseAddrPort(l.Addr().String())
	for b.Loop() {
		a.Lookup(addr, netip.AddrPort{})
	}
}
