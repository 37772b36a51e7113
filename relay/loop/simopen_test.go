// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/relaybox"
)

// The only source ports of the namespace of these tests.
const firstPort, ports = 20000, 32

// siege makes a namespace with few source ports, in which the agent has bound the gateway's
// port so often that it can wait on each of them. The gateway listens all the same.
func siege(t *testing.T, addr netip.AddrPort) (g *gateway, bound []int) {
	t.Helper()
	testenv.Must(t, os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("20000 20031"), 0))
	var err error
	testenv.As(t, testenv.Stranger, func() {
		for range ports {
			var fd int
			if fd, err = relaybox.BindBeside(addr); err != nil {
				return
			}
			t.Cleanup(func() { unix.Close(fd) })
			bound = append(bound, fd)
		}
	})
	testenv.Must(t, err)
	return &gateway{testenv.Listen(t, addr.String()), t, addr}, bound
}

// Invariant I9. TestSimultaneousOpen checks that no byte reaches an agent that holds the
// gateway's port without listening, and waits there for each connection that the relay
// can make. Listener, cookie and uid are the gateway's before and after. The clients are
// served, by a connection from another address.
func TestSimultaneousOpen(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNET) {
		return
	}
	testenv.Must(t, testenv.Loopback())
	r := start(t)
	g, bound := siege(t, netip.MustParseAddrPort("127.0.0.1:18788"))
	r.serve(g.addr)
	for i, fd := range bound {
		testenv.Must(t, relaybox.Park(fd, netip.AddrPortFrom(g.addr.Addr(), uint16(firstPort+i))))
	}
	const clients = ports / 2 // the relay's own connections take ports, too
	for range clients {
		client := r.dial()
		say(t, client, "the token")
		server := g.accept()
		expect(t, server, "the token")
		say(t, server, "the answer")
		expect(t, client, "the answer")
	}
	joined := 0
	for _, fd := range bound {
		if joins(t, fd) {
			joined++
		}
	}
	if joined < 3 {
		t.Errorf("the agent was joined to %d connections of %d, so this is no test", joined, clients)
	}
	c := r.count()
	if uid, ok := c.ForeignUID(); !ok || uid != testenv.Stranger || c.Served != clients {
		t.Errorf("found uid %d, %v; %+v", uid, ok, c)
	}
	t.Logf("%d of %d connections led to the agent first", joined, clients)
}

// joins reports whether the agent's socket was joined to a connection, and reads from it.
func joins(t *testing.T, fd int) bool {
	t.Helper()
	b := make([]byte, 100)
	switch n, err := unix.Read(fd, b); {
	case n > 0:
		t.Errorf("the agent read %q", b[:n])
		return true
	case err == unix.ECONNRESET:
		return true
	}
	return false
}

// Scenario C12. TestParkedConnections checks that an agent that swallows connections to
// the gateway, by sockets that never answer (TCP_FASTOPEN_CONNECT), delays clients and
// does not keep them out.
func TestParkedConnections(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNET) {
		return
	}
	testenv.Must(t, testenv.Loopback())
	r := start(t)
	g, bound := siege(t, netip.MustParseAddrPort("127.0.0.1:18788"))
	for i, fd := range bound {
		const noCookie, deferConnect = 34, unix.TCP_FASTOPEN_CONNECT
		testenv.Must(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, noCookie, 1))
		testenv.Must(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, deferConnect, 1))
		testenv.Must(t, unix.Connect(fd, &unix.SockaddrInet4{Port: firstPort + i, Addr: [4]byte{127, 0, 0, 1}}))
	}
	r.serve(g.addr)
	client := r.dial()
	say(t, client, "the token")
	expect(t, g.accept(), "the token")
	r.eventually("it is served", func(c relaycount.Counters) bool { return c.Served == 1 })
}
