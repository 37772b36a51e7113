// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func listenShared(t *testing.T, addr netip.AddrPort) net.Listener {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return err
	}}
	at := "127.0.0.1:0"
	if addr.IsValid() {
		at = addr.String()
	}
	l, err := config.Listen(context.Background(), "tcp4", at)
	testenv.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// dialAs connects n clients as a user.
func dialAs(t *testing.T, uid uint32, addr netip.AddrPort, n int) (clients []net.Conn) {
	t.Helper()
	testenv.As(t, uid, func() {
		for range n {
			c, err := net.Dial("tcp4", addr.String())
			if errors.Is(err, syscall.ECONNRESET) {
				continue // a client that is refused may not see the connection at all
			}
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.Close() })
			clients = append(clients, c)
		}
	})
	return clients
}

// TestClientGoneBeforeAccept checks clients that the backlog still has when they are gone,
// and those that can no longer read an answer. The gateway never hears of them.
func TestClientGoneBeforeAccept(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(*net.TCPConn)
		want  relaycount.Reason
	}{
		"closed":                {func(c *net.TCPConn) { c.Close() }, relaycount.NoInode},
		"closed-after-sending":  {func(c *net.TCPConn) { c.Write([]byte("x")); c.Close() }, relaycount.NoInode},
		"reset":                 {func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, relaycount.ClientGone},
		"reset-after-sending":   {func(c *net.TCPConn) { c.Write([]byte("x")); c.SetLinger(0); c.Close() }, relaycount.ClientGone},
		"ended-without-a-word":  {func(c *net.TCPConn) { c.CloseWrite() }, relaycount.ClientGone},
		"ended-its-half-at-all": {func(c *net.TCPConn) { c.CloseWrite(); c.CloseRead() }, relaycount.ClientGone},
	} {
		t.Run(name, func(t *testing.T) {
			r, g := newRig(t), listen(t)
			c.leave(r.dial())
			r.serve(g.addr)
			r.run()
			r.eventually("it was refused", refusedAs(c.want, 1))
			r.checkEmpty()
		})
	}
}

// TestClientLeavesWhileItWaits checks the same for a client that waits for a gateway. What
// is there then is not connected for it.
func TestClientLeavesWhileItWaits(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(*net.TCPConn)
		want  relaycount.Reason
	}{
		"closed":               {func(c *net.TCPConn) { c.Close() }, relaycount.ClientGone},
		"closed-after-sending": {func(c *net.TCPConn) { c.Write([]byte("x")); c.Close() }, relaycount.NoInode},
		"reset":                {func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, relaycount.ClientGone},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			client := r.dial()
			r.eventually("it waits", func(c relaycount.Counters) bool { return c.Active == 1 })
			c.leave(client)
			r.serve(listen(t).addr)
			r.eventually("it was refused", refusedAs(c.want, 1))
		})
	}
}

// TestClientClosesAfterSending checks that a client that is served and does not wait for
// an answer has its bytes delivered.
func TestClientClosesAfterSending(t *testing.T) {
	r, client, server := pair(t)
	r.eventually("it is served", func(c relaycount.Counters) bool { return c.Served == 1 })
	say(t, client, "fire and forget")
	client.Close()
	expect(t, server, "fire and forget")
	expectEnd(t, server)
	server.Close()
	r.eventually("it is gone", func(c relaycount.Counters) bool { return c.Active == 0 })
}

// Scenario C12. TestAcceptsBeyondDescriptors checks that clients are reset and not left
// in the backlog if the process has no descriptor for them.
func TestAcceptsBeyondDescriptors(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	r := start(t)
	held := r.dial()
	r.eventually("it waits", func(c relaycount.Counters) bool { return c.Active == 1 })
	var clients []int
	for range 3 { // their descriptors exist before the limit
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		testenv.Must(t, err)
		defer unix.Close(fd)
		clients = append(clients, fd)
	}
	var old unix.Rlimit
	testenv.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	next, err := unix.Dup(0) // the lowest descriptor that is free
	testenv.Must(t, err)
	unix.Close(next)
	testenv.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: old.Max}))
	for _, fd := range clients {
		testenv.Must(t, unix.Connect(fd, &unix.SockaddrInet4{Port: int(r.addr.Port()), Addr: [4]byte{127, 0, 0, 1}}))
		var b [1]byte
		if n, err := unix.Read(fd, b[:]); err != unix.ECONNRESET {
			t.Errorf("read %d, %v", n, err)
		}
	}
	testenv.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
	r.eventually("they are counted", func(c relaycount.Counters) bool { return c.Refused[relaycount.TotalLimit] == 3 })
	g := listen(t)
	r.serve(g.addr)
	say(t, held, "x")
	expect(t, g.accept(), "x")
}

// Scenario C12. TestSourcePortsUsedUp checks that the gateway is reached although another
// process has taken every port from which a connection to it can come.
func TestSourcePortsUsedUp(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNET) {
		return
	}
	testenv.Must(t, testenv.Loopback())
	testenv.Must(t, os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40063"), 0))
	r := start(t)
	l := testenv.Listen(t, "127.0.0.1:18788") // outside of that range
	g := &gateway{l, t, netip.MustParseAddrPort(l.Addr().String())}
	r.serve(g.addr)
	for {
		c, err := net.Dial("tcp4", g.addr.String())
		if err != nil {
			break
		}
		defer c.Close()
		defer g.accept().Close()
	}
	if _, err := net.Dial("tcp4", g.addr.String()); err == nil {
		t.Fatal("there is a port left")
	}
	// The client comes from another address, because it has the same problem.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}
	client, err := d.Dial("tcp4", r.addr.String())
	testenv.Must(t, err)
	defer client.Close()
	say(t, client, "x")
	expect(t, g.accept(), "x")
	if c := r.count(); c.Served != 1 {
		t.Errorf("%+v", c)
	}
}

// TestWithoutNetlink checks that /proc/net/tcp is read where sock_diag is refused, by
// other goroutines, and that a masked /proc is a refusal.
func TestWithoutNetlink(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, testenv.RefuseSocket(unix.EPERM, unix.AF_NETLINK))
	r, g := start(t), listen(t)
	if r.loop.Way() != proven.ByProc {
		t.Fatalf("asked by %v", r.loop.Way())
	}
	life := r.serve(g.addr)
	var clients []*net.TCPConn
	for range 20 {
		c := r.dial()
		say(t, c, "x")
		clients = append(clients, c)
	}
	for range clients {
		server := g.accept()
		expect(t, server, "x")
		server.Close()
	}
	for _, c := range clients {
		expectEnd(t, c)
		c.Close()
	}
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", testenv.Stranger, func(c *testenv.Client, _ int) { c.Request() })
	r.serve(s.Addr)
	r.dialRefused()
	if s.Heard() != "" || r.count().Refused[relaycount.Foreign] != 1 {
		t.Errorf("heard %q, %+v", s.Heard(), r.count())
	}
	testenv.Must(t, unix.Mount("none", "/proc", "tmpfs", 0, ""))
	life.Generation = 3
	testenv.Must(t, r.link.Send(life))
	r.dialRefused()
	if c := r.count(); c.Refused[relaycount.Unproven] != 1 {
		t.Errorf("%+v", c)
	}
}
