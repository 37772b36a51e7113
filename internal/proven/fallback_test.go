// SPDX-License-Identifier: Apache-2.0

package proven

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

type syscallConn = syscall.RawConn

func reusePort(c syscallConn) (err error) {
	c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return err
}

// TestWithoutNetlink checks that /proc/net/tcp stands in for a refused sock_diag. There a
// connection must be accepted, because no listener is looked at.
func TestWithoutNetlink(t *testing.T) {
	for name, host := range map[string]string{"v4": "127.0.0.1:0", "v6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			ours := testenv.Serve(t, "tcp", host, me, keep)
			theirs := testenv.Serve(t, "tcp", host, testenv.Stranger, keep)
			backlog := testenv.Serve(t, "tcp", host, me, nil)
			for addr, want := range map[netip.AddrPort]Verdict{ours.Addr: Proven, theirs.Addr: Foreign, backlog.Addr: Again} {
				c, err := sys.DialTCP(addr, time.Now().Add(20*time.Second))
				testenv.Must(t, err)
				defer c.Close()
				client, err := c.LocalAddr()
				testenv.Must(t, err)
				p := &Prover{way: ByProc}
				if way := p.Test(client, addr); way != ByProc {
					t.Fatalf("asked by %v", way)
				}
				life := &Life{Addr: addr, UID: me, Cookies: []uint64{0}, PIDFD: -1}
				if want == Again {
					if got := p.Look(life, client); got.Verdict != Again {
						t.Errorf("%v: %+v", addr, got)
					}
					continue
				}
				testenv.Eventually(t, "accepted", func() bool { return p.Look(life, client).Verdict == want })
			}
		})
	}
}

// TestRefusedNetlink checks that a seccomp filter leads to /proc, and that a masked /proc
// then leads to a refusal.
func TestRefusedNetlink(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	l := testenv.Listen(t, "127.0.0.1:0")
	addr := netip.MustParseAddrPort(l.Addr().String())
	life := lifeOf(t, addr, me)
	c, err := sys.DialTCP(addr, time.Now().Add(20*time.Second))
	testenv.Must(t, err)
	defer c.Close()
	accepted, err := l.Accept()
	testenv.Must(t, err)
	defer accepted.Close()
	client, err := c.LocalAddr()
	testenv.Must(t, err)
	testenv.Refuse(t, unix.EPERM, unix.SYS_SOCKET)
	p := NewProver()
	if way := p.Test(client, addr); way != ByProc {
		t.Errorf("asked by %v", way)
	}
	if got := p.Look(life, client); got.Verdict != Proven {
		t.Errorf("got %+v", got)
	}
	testenv.Must(t, unix.Mount("none", "/proc", "tmpfs", 0, ""))
	if got := p.Look(life, client); got.Verdict == Proven {
		t.Errorf("with a masked /proc: %+v", got)
	}
	if way := p.Test(client, addr); way != Nowhere {
		t.Errorf("asked %v", way)
	}
	if got := p.Look(life, client); got.Verdict != Failed {
		t.Errorf("with nothing to ask: %+v", got)
	}
}

// TestTestFindsBlindKernel checks that a kernel whose sock_diag shows no TCP socket is
// found out by a socket that is there. Its answer is that of a socket that is not.
func TestTestFindsBlindKernel(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	addr := netip.MustParseAddrPort(l.Addr().String())
	p := NewProver()
	defer p.Close()
	if way := p.Test(addr, netip.AddrPort{}); way != ByDiag {
		t.Errorf("a listener: %v", way)
	}
	gone := netip.AddrPortFrom(addr.Addr(), 1)
	if way := p.Test(gone, netip.AddrPort{}); way != Nowhere {
		t.Errorf("no such socket: %v", way)
	}
}

func TestPause(t *testing.T) {
	var p Pause
	want := 50 * time.Microsecond
	for n := range 20 {
		if got := p.Next(); got != want || p.Step() != min(n, Steps-1) {
			t.Errorf("got %v, step %d, want %v", got, p.Step(), want)
		}
		want = min(2*want, 20*time.Millisecond)
	}
}
