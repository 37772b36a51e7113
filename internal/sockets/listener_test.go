// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// ways are both ways to ask. gVisor and old seccomp profiles force the second.
var ways = map[string]struct {
	list  func(port uint16) ([]Listener, error)
	owner func(local, remote netip.AddrPort) (uint32, error)
}{
	"sock-diag": {
		func(port uint16) ([]Listener, error) {
			return listenersFrom(port, dumpSockets)
		},
		Owner,
	},
	"sock-diag-refused": {
		func(port uint16) ([]Listener, error) {
			return listenersFrom(port, failWith(unix.EPERM))
		},
		func(local, remote netip.AddrPort) (uint32, error) {
			s, err := findConnection(local, remote, func(_, _ netip.AddrPort) ([]Socket, error) { return nil, unix.ENOSYS })
			return s.UID, err
		},
	},
	"proc-net-tcp": {ListenersByProc, OwnerByProc},
}

// failWith returns a dumper that fails.
func failWith(err error) dumper {
	return func(uint16, uint32, func(Socket) bool) ([]Socket, error) { return nil, err }
}

// me is our uid in these tests, and stranger that of another user.
var me = uint32(os.Geteuid())

const stranger = testenv.Stranger

// keep keeps a connection until the client hangs up.
func keep(c *testenv.Client, _ int) { c.Request() }

// TestListeners checks that the agent cannot listen unseen in the gateway's place.
func TestListeners(t *testing.T) {
	for name, c := range map[string]struct {
		network, host string
		uid           uint32
		want          string // its address, without port
	}{
		"v4-loopback":      {"tcp4", "127.0.0.1:0", me, "127.0.0.1"},
		"v4-other-address": {"tcp4", "127.0.0.9:0", me, "127.0.0.9"},
		"v4-any":           {"tcp4", "0.0.0.0:0", me, "0.0.0.0"},
		"v6-loopback":      {"tcp6", "[::1]:0", me, "::1"},
		"v6-only":          {"tcp6", "[::]:0", me, "::"}, // Go sets IPV6_V6ONLY for tcp6
		"dual-stack":       {"tcp", "[::]:0", me, "::"},
		"v4-stranger":      {"tcp4", "127.0.0.1:0", stranger, "127.0.0.1"},
		"v6-stranger":      {"tcp6", "[::1]:0", stranger, "::1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := testenv.Serve(t, c.network, c.host, c.uid, nil)
			for way, ask := range ways {
				ls, err := ask.list(s.Port())
				testenv.Must(t, err)
				want := netip.AddrPortFrom(netip.MustParseAddr(c.want), s.Port())
				if len(ls) != 1 || ls[0].Addr != want || ls[0].UID != c.uid || ls[0].Inode == 0 {
					t.Errorf("%s: got %+v, want one at %v of uid %d", way, ls, want, c.uid)
				}
			}
		})
	}
}

// TestListenersBeside checks that a listener of the other family, which the agent may
// bind beside a healthy gateway, is seen.
func TestListenersBeside(t *testing.T) {
	ours := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
	testenv.Serve(t, "tcp6", "[::1]:"+strconv.Itoa(int(ours.Port())), stranger, nil)
	testenv.Serve(t, "tcp4", "127.0.0.2:"+strconv.Itoa(int(ours.Port())), stranger, nil)
	for way, ask := range ways {
		ls, err := ask.list(ours.Port())
		testenv.Must(t, err)
		foreign := slices.DeleteFunc(slices.Clone(ls), func(l Listener) bool { return l.UID == me })
		if len(foreign) != 2 || len(ls) != 3 {
			t.Errorf("%s: got %+v, foreign %+v", way, ls, foreign)
		}
	}
}

// TestListenersOnlyListening checks that connections and other ports do not count.
func TestListenersOnlyListening(t *testing.T) {
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, keep)
	c, err := net.Dial("tcp4", s.Addr.String())
	testenv.Must(t, err)
	defer c.Close()
	testenv.Must(t, s.Listener.Close())
	testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
	for way, ask := range ways {
		ls, err := ask.list(s.Port())
		testenv.Must(t, err)
		if len(ls) != 0 {
			t.Errorf("%s: got %+v", way, ls)
		}
	}
}

// TestOwner checks both families. A wrong uid gives the token to another user.
func TestOwner(t *testing.T) {
	for name, c := range map[string]struct {
		network, host, dial string
		uid                 uint32
	}{
		"v4":               {"tcp4", "127.0.0.1:0", "127.0.0.1", me},
		"v6":               {"tcp6", "[::1]:0", "::1", me},
		"dual-stack-by-v4": {"tcp", "[::]:0", "127.0.0.1", me},
		"dual-stack-by-v6": {"tcp", "[::]:0", "::1", me},
		"v4-stranger":      {"tcp4", "127.0.0.1:0", "127.0.0.1", stranger},
		"v6-stranger":      {"tcp6", "[::1]:0", "::1", stranger},
		"dual-stranger":    {"tcp", "[::]:0", "127.0.0.1", stranger},
	} {
		t.Run(name, func(t *testing.T) {
			s := testenv.Serve(t, c.network, c.host, c.uid, keep)
			server := netip.AddrPortFrom(netip.MustParseAddr(c.dial), s.Port())
			conn, local := dial(t, server)
			defer conn.Close()
			testenv.Eventually(t, "the connection", func() bool { return s.Accepted() == 1 })
			for way, ask := range ways {
				uid, err := ask.owner(server, local)
				if err != nil || uid != c.uid {
					t.Errorf("%s: uid %d, %v; want %d", way, uid, err, c.uid)
				}
			}
		})
	}
}

// TestOwnerUnaccepted checks that a connection in the backlog has no owner yet. Its
// uid reads as root's in one kernel and as the listener's in the next.
func TestOwnerUnaccepted(t *testing.T) {
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
	conn, local := dial(t, s.Addr)
	defer conn.Close()
	for way, ask := range ways {
		if uid, err := ask.owner(s.Addr, local); !errors.Is(err, ErrUnproven) || !errors.Is(err, ErrUnheld) {
			t.Errorf("%s: uid %d, %v", way, uid, err)
		}
	}
}

// TestOwnerClosed checks that a connection that its server has closed has no owner.
func TestOwnerClosed(t *testing.T) {
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, func(*testenv.Client, int) {})
	conn, local := dial(t, s.Addr)
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err != nil {
		t.Fatalf("read %d, %v; want the end", n, err)
	}
	for way, ask := range ways {
		if uid, err := ask.owner(s.Addr, local); !errors.Is(err, ErrUnheld) {
			t.Errorf("%s: uid %d, %v", way, uid, err)
		}
	}
}

// TestOwnerHalfClosed checks that a connection that we half-closed still is the
// server's. After the server has half-closed it, no more data comes from there.
func TestOwnerHalfClosed(t *testing.T) {
	for name, c := range map[string]struct {
		ours bool
		held bool
	}{"by-us": {true, true}, "by-the-server": {false, false}} {
		t.Run(name, func(t *testing.T) {
			turn := make(chan bool)
			s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, func(k *testenv.Client, _ int) {
				if !c.ours {
					k.Conn.(*net.TCPConn).CloseWrite()
				}
				turn <- true
				<-turn
			})
			defer close(turn)
			conn, err := net.Dial("tcp4", s.Addr.String())
			testenv.Must(t, err)
			defer conn.Close()
			<-turn
			if c.ours {
				testenv.Must(t, conn.(*net.TCPConn).CloseWrite())
			}
			local := netip.MustParseAddrPort(conn.LocalAddr().String())
			for way, ask := range ways {
				uid, err := ask.owner(s.Addr, local)
				if c.held && (err != nil || uid != me) || !c.held && !errors.Is(err, ErrUnheld) {
					t.Errorf("%s: uid %d, %v", way, uid, err)
				}
			}
		})
	}
}

// TestListenersFailure checks that a refusal of netlink leads to /proc. Any other
// failure is unproven, never an empty list.
func TestListenersFailure(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		fall bool
	}{
		"eperm":           {unix.EPERM, true},
		"no-such-family":  {unix.EAFNOSUPPORT, true},
		"no-protocol":     {unix.EPROTONOSUPPORT, true},
		"no-tcp-diag":     {unix.ENOENT, true},
		"interrupted":     {errDump, false},
		"garbage":         {errDiag, false},
		"out-of-memory":   {unix.ENOBUFS, false},
		"nothing-to-read": {unix.EAGAIN, false},
		"too-many-files":  {unix.EMFILE, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
			ls, err := listenersFrom(s.Port(), failWith(c.err))
			if c.fall && (err != nil || len(ls) != 1) {
				t.Errorf("got %+v, %v; want the listener", ls, err)
			}
			if !c.fall && (!errors.Is(err, ErrUnproven) || ls != nil) {
				t.Errorf("got %+v, %v; want unproven", ls, err)
			}
			_, err = findConnection(s.Addr, s.Addr, func(_, _ netip.AddrPort) ([]Socket, error) { return nil, c.err })
			if !errors.Is(err, ErrUnproven) || errors.Is(err, ErrUnheld) != c.fall {
				t.Errorf("owner: %v", err)
			}
		})
	}
}

func dial(t *testing.T, to netip.AddrPort) (*sys.Conn, netip.AddrPort) {
	t.Helper()
	c, err := sys.DialTCP(to, time.Now().Add(20*time.Second))
	testenv.Must(t, err)
	local, err := c.LocalAddr()
	testenv.Must(t, err)
	return c, local
}
