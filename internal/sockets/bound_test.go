// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestListenersOfManyStrangers checks that a crowd of foreign listeners beside ours is
// named, and does not hide behind an error.
func TestListenersOfManyStrangers(t *testing.T) {
	ours := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
	testenv.As(t, stranger, func() {
		for n := range maxSocket + 76 {
			l, err := net.Listen("tcp4", fmt.Sprintf("127.1.%d.%d:%d", n/250, n%250+1, ours.Port()))
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { l.Close() })
		}
	})
	for way, ask := range ways {
		ls, err := ask.list(ours.Port())
		if !errors.Is(err, ErrMany) || !errors.Is(err, ErrUnproven) || len(ls) != maxSocket {
			t.Errorf("%s: %d listeners, %v", way, len(ls), err)
		}
		if !slices.ContainsFunc(ls, func(l Listener) bool { return l.UID == stranger }) {
			t.Errorf("%s: no stranger among %d", way, len(ls))
		}
	}
	if ls, err := ListenersOf(me); err != nil || !slices.ContainsFunc(ls, func(l Listener) bool { return l.Addr == ours.Addr }) {
		t.Errorf("our listeners among the strangers': %d, %v", len(ls), err)
	}
}

// TestListenerCookie checks that a listener has the number that the kernel gives its
// socket, and that the next one at the same address has another.
func TestListenerCookie(t *testing.T) {
	addr := "127.0.0.1:0"
	var before uint64
	for range 3 {
		l := testenv.Listen(t, addr)
		addr = l.Addr().String()
		var want uint64
		c, err := l.SyscallConn()
		testenv.Must(t, err)
		c.Control(func(fd uintptr) { want, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE) })
		testenv.Must(t, err)
		var protocol int
		c.Control(func(fd uintptr) { protocol, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL) })
		testenv.Must(t, err)
		ls, err := Listeners(netip.MustParseAddrPort(addr).Port())
		testenv.Must(t, err)
		if len(ls) != 1 || ls[0].Cookie == 0 || ls[0].Cookie == before {
			t.Fatalf("got %+v after cookie %d", ls, before)
		}
		// The socket below an MPTCP one has a number of its own.
		if same := ls[0].Cookie == want; same != (protocol == unix.IPPROTO_TCP) {
			t.Errorf("protocol %d: cookie %d, SO_COOKIE %d", protocol, ls[0].Cookie, want)
		}
		before = ls[0].Cookie
		l.Close()
	}
}

// bind binds a socket to addr without listening. It stays to the end of the test.
func bind(t *testing.T, addr netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	t.Cleanup(func() { unix.Close(fd) })
	return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}))
}

// TestListBound checks that a socket is seen that holds a port and listens nowhere.
func TestListBound(t *testing.T) {
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, keep)
	if bound, leftover, err := ListBound(s.Port()); len(bound) != 0 || leftover || err != nil {
		t.Fatalf("a listener alone: %+v, %v, %v", bound, leftover, err)
	}
	other := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.7"), s.Port())
	var err error
	testenv.As(t, stranger, func() { err = bind(t, other) })
	testenv.Must(t, err)
	bound, leftover, err := ListBound(s.Port())
	if err != nil || leftover || len(bound) != 1 || bound[0].Local != other || bound[0].UID != stranger || bound[0].State != Closed {
		t.Errorf("got %+v, %v, %v", bound, leftover, err)
	}
	c, err := net.Dial("tcp4", s.Addr.String())
	testenv.Must(t, err)
	defer c.Close()
	testenv.Eventually(t, "accepted", func() bool { return s.Accepted() == 1 })
	bound, _, err = ListBound(s.Port())
	if err != nil || len(bound) != 2 || bound[1].State != Established || bound[1].UID != me || bound[1].Inode == 0 {
		t.Errorf("with a connection: %+v, %v", bound, err)
	}
}

// TestListBoundLeftover checks that TIME_WAIT is told apart from a socket that a
// process has, in both ways to ask.
func TestListBoundLeftover(t *testing.T) {
	for name, dump := range map[string]dumper{"sock-diag": dumpSockets, "sock-diag-refused": failWith(unix.EPERM)} {
		t.Run(name, func(t *testing.T) {
			config := net.ListenConfig{}
			config.SetMultipathTCP(false) // an MPTCP socket may leave nothing behind
			l, err := config.Listen(testenv.Within(t, testenv.Patience), "tcp4", "127.0.0.1:0")
			testenv.Must(t, err)
			defer l.Close()
			port := netip.MustParseAddrPort(l.Addr().String()).Port()
			c, err := net.Dial("tcp4", l.Addr().String())
			testenv.Must(t, err)
			server, err := l.Accept()
			testenv.Must(t, err)
			testenv.Must(t, server.Close()) // first
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Fatalf("read %d, %v", n, err)
			}
			if bound, leftover, err := listBound(port, dump); err != nil || len(bound) != 0 || !leftover {
				t.Errorf("half closed: %+v, %v, %v", bound, leftover, err)
			}
			testenv.Must(t, c.Close())
			if bound, leftover, err := listBound(port, dump); err != nil || len(bound) != 0 || !leftover {
				t.Errorf("closed: %+v, %v, %v", bound, leftover, err)
			}
		})
	}
	if bound, _, err := listBound(1, failWith(errDiag)); !errors.Is(err, ErrUnproven) || bound != nil {
		t.Errorf("garbage: %+v, %v", bound, err)
	}
}
