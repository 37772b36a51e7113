// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/relaybox"
)

// TestFamilies checks gateways and published addresses of both families, and a gateway
// whose listener is an MPTCP socket.
func TestFamilies(t *testing.T) {
	for name, c := range map[string]struct {
		published, network, gateway, addr string
		mptcp                             bool
	}{
		"v4":                 {"127.0.0.1:0", "tcp4", "127.0.0.1:0", "127.0.0.1", false},
		"v4-mptcp":           {"127.0.0.1:0", "tcp4", "127.0.0.1:0", "127.0.0.1", true},
		"v4-any":             {"0.0.0.0:0", "tcp4", "0.0.0.0:0", "127.0.0.1", false},
		"dual-stack-by-v4":   {"127.0.0.1:0", "tcp", "[::]:0", "127.0.0.1", true},
		"dual-stack-by-v6":   {"127.0.0.1:0", "tcp", "[::]:0", "::1", false},
		"v6":                 {"[::1]:0", "tcp6", "[::1]:0", "::1", false},
		"v6-mptcp":           {"[::1]:0", "tcp6", "[::1]:0", "::1", true},
		"v6-client-of-v4":    {"[::1]:0", "tcp4", "127.0.0.1:0", "127.0.0.1", false},
		"v4-client-of-v6":    {"127.0.0.1:0", "tcp6", "[::1]:0", "::1", false},
		"v6-any-published":   {"[::]:0", "tcp4", "127.0.0.1:0", "127.0.0.1", false},
		"other-v4-published": {"127.0.0.7:0", "tcp4", "127.0.0.8:0", "127.0.0.8", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(config *Config) {
				fd, at, err := relaybox.Listen(netip.MustParseAddrPort(c.published))
				testenv.Must(t, err)
				t.Cleanup(func() { unix.Close(fd) })
				config.Listeners = append(config.Listeners, fd)
				c.published = at.String()
			})
			config := net.ListenConfig{}
			config.SetMultipathTCP(c.mptcp)
			l, err := config.Listen(context.Background(), c.network, c.gateway)
			testenv.Must(t, err)
			defer l.Close()
			port := netip.MustParseAddrPort(l.Addr().String()).Port()
			r.serve(netip.AddrPortFrom(netip.MustParseAddr(c.addr), port))
			for range 3 {
				client, err := net.Dial("tcp", c.published)
				testenv.Must(t, err)
				defer client.Close()
				client.SetDeadline(time.Now().Add(20 * time.Second))
				say(t, client, "x")
				server, err := l.Accept()
				testenv.Must(t, err)
				defer server.Close()
				server.SetDeadline(time.Now().Add(20 * time.Second))
				expect(t, server, "x")
				say(t, server, "y")
				expect(t, client, "y")
			}
			if c := r.count(); c.Served != 3 {
				t.Errorf("%+v", c)
			}
			testenv.Must(t, r.link.SendNone(9))
			r.eventually("all are gone", func(c relaycount.Counters) bool { return c.Active == 0 })
		})
	}
}

// TestDeferAccept checks a gateway that wants data before it accepts. It is connected as
// soon as the kernel gives up waiting for them, because nothing is sent before the proof.
// If that takes longer than a proof may, the client is reset.
func TestDeferAccept(t *testing.T) {
	for name, c := range map[string]struct {
		seconds int
		served  bool
	}{"short": {1, true}, "long": {30, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, g := start(t), listen(t)
			raw, err := g.SyscallConn()
			testenv.Must(t, err)
			raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, c.seconds)
			})
			testenv.Must(t, err)
			r.serve(g.addr)
			if !c.served {
				r.dialRefused()
				r.eventually("it was refused", refusedAs(relaycount.Unproven, 1))
				return
			}
			client := r.dial()
			say(t, client, "x")
			expect(t, g.accept(), "x")
		})
	}
}
