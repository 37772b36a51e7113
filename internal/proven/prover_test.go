// SPDX-License-Identifier: Apache-2.0

package proven

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.OwnNetMain(m)) }

var me = uint32(os.Geteuid())

// lifeOf returns the life of a server of this process, as PID 1 would record it. The
// address is the one that a client uses.
func lifeOf(t testing.TB, addr netip.AddrPort, uid uint32) *Life {
	t.Helper()
	ls, err := sockets.Listeners(addr.Port())
	testenv.Must(t, err)
	l := &Life{Generation: 1, Addr: addr, UID: uid, PIDFD: -1}
	for _, s := range ls {
		if Covers(s.Addr, addr) {
			l.Cookies = append(l.Cookies, s.Cookie)
		}
	}
	return l
}

func keep(c *testenv.Client, _ int) { c.Request() }

// soon is a deadline that is meant to be reached.
func soon() time.Time { return time.Now().Add(100 * time.Millisecond) }

// verdictOf dials and returns the verdict.
func verdictOf(life *Life, deadline time.Time) (Verdict, error) {
	c, err := Dial(life, deadline)
	var e *Error
	switch {
	case err == nil:
		c.Close()
		return Proven, nil
	case errors.As(err, &e):
		return e.Verdict, nil
	}
	return Failed, err
}

// Invariant I9. TestDial checks servers of both families, accepted or not, and each thing
// that may be wrong with them.
func TestDial(t *testing.T) {
	for name, c := range map[string]struct {
		network, host, addr string
		uid                 uint32
		accepts             bool
		want                Verdict
	}{
		"v4":                     {"tcp4", "127.0.0.1:0", "127.0.0.1", me, true, Proven},
		"v4-not-accepted":        {"tcp4", "127.0.0.1:0", "127.0.0.1", me, false, Proven},
		"v4-any":                 {"tcp4", "0.0.0.0:0", "127.0.0.1", me, true, Proven},
		"v6":                     {"tcp6", "[::1]:0", "::1", me, true, Proven},
		"v6-not-accepted":        {"tcp6", "[::]:0", "::1", me, false, Proven},
		"dual-by-v4":             {"tcp", "[::]:0", "127.0.0.1", me, true, Proven},
		"dual-by-v6":             {"tcp", "[::]:0", "::1", me, true, Proven},
		"dual-not-accepted":      {"tcp", "[::]:0", "127.0.0.1", me, false, Proven},
		"stranger":               {"tcp4", "127.0.0.1:0", "127.0.0.1", testenv.Stranger, true, Foreign},
		"stranger-not-accepted":  {"tcp4", "127.0.0.1:0", "127.0.0.1", testenv.Stranger, false, Foreign},
		"stranger-dual-stack":    {"tcp", "[::]:0", "127.0.0.1", testenv.Stranger, true, Foreign},
		"stranger-v6-dual-stack": {"tcp", "[::]:0", "::1", testenv.Stranger, true, Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			handle := keep
			if !c.accepts {
				handle = nil
			}
			s := testenv.Serve(t, c.network, c.host, c.uid, handle)
			life := lifeOf(t, netip.AddrPortFrom(netip.MustParseAddr(c.addr), s.Port()), me)
			if got, err := verdictOf(life, time.Now().Add(20*time.Second)); got != c.want || err != nil {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
			life.Cookies[0]++
			if got, _ := verdictOf(life, time.Now().Add(20*time.Second)); got == Proven {
				t.Error("another listener was proven")
			}
		})
	}
}

// TestDialMPTCP checks a Go gateway, whose listener is an MPTCP socket on most kernels.
func TestDialMPTCP(t *testing.T) {
	config := net.ListenConfig{}
	config.SetMultipathTCP(true)
	l, err := config.Listen(testenv.Within(t, 20*time.Second), "tcp4", "127.0.0.1:0")
	testenv.Must(t, err)
	defer l.Close()
	life := lifeOf(t, netip.MustParseAddrPort(l.Addr().String()), me)
	for _, accepted := range []bool{false, true} {
		if got, err := verdictOf(life, time.Now().Add(20*time.Second)); got != Proven {
			t.Errorf("accepted %v: %v, %v", accepted, got, err)
		}
		if !accepted {
			go func() {
				for {
					if _, err := l.Accept(); err != nil {
						return
					}
				}
			}()
		}
	}
}

// TestDialEnded checks that a child of the gateway that keeps its listener proves
// nothing. Cookie, uid and inode are the same as before.
func TestDialEnded(t *testing.T) {
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, keep)
	life := lifeOf(t, s.Addr, me)
	gateway := exec.Command("/bin/sleep", "100")
	testenv.Must(t, gateway.Start())
	var err error
	life.PIDFD, err = sys.PidfdOpen(gateway.Process.Pid)
	testenv.Must(t, err)
	defer unix.Close(life.PIDFD)
	if got, err := verdictOf(life, time.Now().Add(20*time.Second)); got != Proven {
		t.Fatalf("alive: %v, %v", got, err)
	}
	testenv.Must(t, gateway.Process.Kill())
	testenv.Eventually(t, "the end shows before it is reaped", life.Ended)
	if got, err := verdictOf(life, time.Now().Add(20*time.Second)); got != Ended {
		t.Errorf("ended: %v, %v", got, err)
	}
	// The end between connect and proof counts, too.
	c, err := sys.DialTCP(s.Addr, time.Now().Add(20*time.Second))
	testenv.Must(t, err)
	defer c.Close()
	client, err := c.LocalAddr()
	testenv.Must(t, err)
	p := NewProver()
	defer p.Close()
	if got := p.Look(life, client); got.Verdict != Ended {
		t.Errorf("ended after the connect: %+v", got)
	}
	gateway.Wait()
}

// TestDialWorkers checks three workers with SO_REUSEPORT, of which the kernel chooses
// one for each client, and a fourth that PID 1 has not seen.
func TestDialWorkers(t *testing.T) {
	shared := net.ListenConfig{Control: func(_, _ string, c syscallConn) error { return reusePort(c) }}
	addr := "127.0.0.1:0"
	listen := func() {
		l, err := shared.Listen(testenv.Within(t, 20*time.Second), "tcp4", addr)
		testenv.Must(t, err)
		t.Cleanup(func() { l.Close() })
		addr = l.Addr().String()
	}
	for range 3 {
		listen()
	}
	life := lifeOf(t, netip.MustParseAddrPort(addr), me)
	if len(life.Cookies) != 3 {
		t.Fatalf("cookies %v", life.Cookies)
	}
	for range 20 {
		if got, err := verdictOf(life, time.Now().Add(20*time.Second)); got != Proven {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	listen()
	for range 20 {
		if got, err := verdictOf(life, time.Now().Add(20*time.Second)); got != Unknown {
			t.Fatalf("with a fourth: %v, %v", got, err)
		}
	}
}

// TestDialAgain checks a gateway that listens anew in one life: its new listener is not
// the one that was proven.
func TestDialAgain(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	life := lifeOf(t, netip.MustParseAddrPort(l.Addr().String()), me)
	l.Close()
	testenv.Listen(t, life.Addr.String())
	if got, err := verdictOf(life, time.Now().Add(20*time.Second)); got != Unknown {
		t.Errorf("got %v, %v", got, err)
	}
	life = lifeOf(t, life.Addr, me)
	if got, err := verdictOf(life, time.Now().Add(20*time.Second)); got != Proven {
		t.Errorf("proven again: %v, %v", got, err)
	}
}

// TestDialDeferAccept checks a server that accepts only when there is data. There is no
// connection to prove before TCP_DEFER_ACCEPT is over, and no byte is sent.
func TestDialDeferAccept(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	raw, err := l.SyscallConn()
	testenv.Must(t, err)
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30) })
	testenv.Must(t, err)
	life := lifeOf(t, netip.MustParseAddrPort(l.Addr().String()), me)
	if got, err := verdictOf(life, soon()); got != Again {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestDialClosed checks that a server that drops a connection at once does not let the
// dialer wait for its deadline.
func TestDialClosed(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	life := lifeOf(t, netip.MustParseAddrPort(l.Addr().String()), me)
	c, err := sys.DialTCP(life.Addr, time.Now().Add(20*time.Second))
	testenv.Must(t, err)
	defer c.Close()
	accepted, err := l.Accept()
	testenv.Must(t, err)
	accepted.(*net.TCPConn).SetLinger(0)
	accepted.Close()
	testenv.Eventually(t, "it has closed", func() bool { return isReadable(c) })
	p := NewProver()
	defer p.Close()
	if err := p.prove(life, c, time.Now().Add(time.Hour)); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestDialRefused checks the errors that are not of the proof.
func TestDialRefused(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	life := lifeOf(t, netip.MustParseAddrPort(l.Addr().String()), me)
	testenv.Must(t, Check(life, time.Now().Add(20*time.Second)))
	l.Close()
	if err := Check(life, time.Now().Add(20*time.Second)); !sys.Refused(err) {
		t.Errorf("got %v", err)
	}
}
