// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// listenPlain listens without MPTCP, which Go takes otherwise.
func listenPlain(t *testing.T) *net.TCPListener {
	t.Helper()
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	testenv.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

var tuning = Tuning{Idle: time.Minute, Patience: time.Hour, Buffer: 64 << 10}

// TestStream checks the calls of the relay on a connection.
func TestStream(t *testing.T) {
	l := listenPlain(t)
	f, err := l.File()
	testenv.Must(t, err)
	defer f.Close()
	fd := int(f.Fd())
	at, err := ListenerAddr(fd)
	if err != nil || at.String() != l.Addr().String() {
		t.Errorf("%v, %v", at, err)
	}
	testenv.Must(t, SetNonBlocking(fd))
	testenv.Must(t, Tune(fd, tuning))
	if _, _, errno := Accept(fd); errno != unix.EAGAIN {
		t.Errorf("nobody there: %v", errno)
	}
	client, errno := Connect(netip.Addr{}, at, tuning)
	if errno != 0 {
		t.Fatal(errno)
	}
	ours, err := LocalAddr(client)
	testenv.Must(t, err)
	testenv.Eventually(t, "connected", func() bool { return IsWritable(client) })
	server, peer, errno := Accept(fd)
	if errno != 0 || peer != ours {
		t.Fatalf("accepted %v, %v; want %v", peer, errno, ours)
	}
	if there, err := PeerAddr(server); err != nil || there != ours {
		t.Errorf("peer %v, %v", there, err)
	}
	for _, s := range []int{client, server} { // the accepted socket has inherited them
		if !IsAbortive(s) {
			t.Error("close(2) would not reset it")
		}
		for option, want := range map[[2]int]int{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: 60, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 3600000,
			{unix.IPPROTO_TCP, unix.TCP_NODELAY}: 1, {unix.SOL_SOCKET, unix.SO_PROTOCOL}: unix.IPPROTO_TCP,
			{unix.SOL_SOCKET, unix.SO_RCVBUF}: 128 << 10, {unix.SOL_SOCKET, unix.SO_SNDBUF}: 128 << 10,
		} {
			if got, err := unix.GetsockoptInt(s, option[0], option[1]); err != nil || got != want {
				t.Errorf("option %v is %d, %v", option, got, err)
			}
		}
	}
	b := make([]byte, 10)
	if _, errno := RecvNow(server, b); errno != unix.EAGAIN {
		t.Errorf("nothing there: %v", errno)
	}
	if n, errno := SendNow(client, []byte("abcdef")); n != 6 || errno != 0 {
		t.Errorf("sent %d, %v", n, errno)
	}
	if n, errno := PeekNow(server, b); string(b[:max(n, 0)]) != "abcdef" || errno != 0 {
		t.Errorf("peeked %d, %v", n, errno)
	}
	if n, errno := DiscardNow(server, b[:2]); n != 2 || errno != 0 {
		t.Errorf("discarded %d, %v", n, errno)
	}
	if n, errno := RecvNow(server, b); string(b[:max(n, 0)]) != "cdef" || errno != 0 {
		t.Errorf("received %q, %v", b[:max(n, 0)], errno)
	}
	EndWriting(client)
	if n, errno := RecvNow(server, b); n != 0 || errno != 0 {
		t.Errorf("the end: %d, %v", n, errno)
	}
	Close(server) // without Graceful
	testenv.Eventually(t, "a reset", func() bool { return IsReadable(client) })
	if errno := Failure(client); errno != unix.ECONNRESET {
		t.Errorf("closed: %v", errno)
	}
	Close(client)
}

// TestGraceful checks that an end is no reset any more.
func TestGraceful(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	fd, errno := Connect(netip.Addr{}, netip.MustParseAddrPort(l.Addr().String()), tuning)
	if errno != 0 {
		t.Fatal(errno)
	}
	c, err := l.Accept()
	testenv.Must(t, err)
	defer c.Close()
	Graceful(fd)
	if IsAbortive(fd) {
		t.Error("close(2) would reset it")
	}
	Close(fd)
	c.SetDeadline(later())
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || Reset(err) {
		t.Errorf("read %d, %v", n, err)
	}
}

// TestConnectFrom checks that a connection comes from the address that is asked for.
func TestConnectFrom(t *testing.T) {
	l := listenPlain(t)
	to := netip.MustParseAddrPort(l.Addr().String())
	for range 20 {
		from := OtherLoopback()
		if !from.IsLoopback() || from == to.Addr() {
			t.Fatalf("%v is no other loopback address", from)
		}
		fd, errno := Connect(from, to, tuning)
		if errno != 0 {
			t.Fatal(errno)
		}
		if ours, err := LocalAddr(fd); err != nil || ours.Addr() != from {
			t.Errorf("from %v, %v; want %v", ours, err, from)
		}
		Close(fd)
		c, err := DialTCPFrom(from, to, later())
		testenv.Must(t, err)
		c.Close()
	}
	if _, errno := Connect(netip.MustParseAddr("192.0.2.1"), to, tuning); errno == 0 {
		t.Error("from an address of another machine")
	}
	l.Close()
	fd, errno := Connect(netip.Addr{}, to, tuning)
	if errno == 0 { // the answer comes in a moment
		testenv.Eventually(t, "an answer", func() bool { return IsWritable(fd) })
		errno = Failure(fd)
		Close(fd)
	}
	if errno != unix.ECONNREFUSED {
		t.Errorf("nobody listens: %v", errno)
	}
}

// TestListenerAddrRefuses checks descriptors that are no listener.
func TestListenerAddrRefuses(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	c, err := net.Dial("tcp4", l.Addr().String())
	testenv.Must(t, err)
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	testenv.Must(t, err)
	defer f.Close()
	config := net.ListenConfig{}
	config.SetMultipathTCP(true)
	m, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	testenv.Must(t, err)
	defer m.Close()
	mf, err := m.(*net.TCPListener).File()
	testenv.Must(t, err)
	defer mf.Close()
	for name, fd := range map[string]int{"connection": int(f.Fd()), "mptcp": int(mf.Fd()), "file": 0, "closed": 1 << 20} {
		if _, err := ListenerAddr(fd); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
