// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/relay/bounds"
	"github.com/gateway-init/gateway-init/tests/relaybox"
)

func TestMain(m *testing.M) { os.Exit(testenv.OwnNetMain(m)) }

var me = uint32(os.Geteuid())

// rig is a Loop in this process, with the test as PID 1, gateway and client.
type rig struct {
	*testing.T
	loop       *Loop
	link       *relaylink.Supervisor
	addr       netip.AddrPort // published
	counters   *os.File
	ended      chan error
	generation uint64

	mu      sync.Mutex
	refused []uint32 // uids of foreign sockets
}

// Refused is Log.
func (r *rig) Refused(reason relaycount.Reason, uid uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason == relaycount.Foreign {
		r.refused = append(r.refused, uid)
	}
}

var roomy = bounds.Limits{Total: 256, Kept: 16, PerUser: 64, PerAddress: 128}

// newRig makes a Loop that does not run yet.
func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{T: t, ended: make(chan error, 1)}
	var err error
	r.counters, err = os.OpenFile(filepath.Join(t.TempDir(), relaycount.Name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	testenv.Must(t, err)
	t.Cleanup(func() { r.counters.Close() })
	testenv.Must(t, relaycount.Init(r.counters))
	page, err := relaycount.Map(int(r.counters.Fd()))
	testenv.Must(t, err)
	link, theirs, err := relaylink.Pair()
	testenv.Must(t, err)
	r.link = link
	t.Cleanup(func() { link.Close() })
	linkFD, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	testenv.Must(t, err)
	theirs.Close()
	t.Cleanup(func() { unix.Close(linkFD) })
	relaySide, err := relaylink.Open(linkFD)
	testenv.Must(t, err)
	fd, at, err := relaybox.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	testenv.Must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	r.addr = at
	c := Config{Listeners: []int{fd}, Link: relaySide, Counters: page, Limits: roomy, Wait: time.Minute, Operator: 1, Log: r}
	for _, f := range change {
		f(&c)
	}
	r.loop, err = New(c)
	testenv.Must(t, err)
	return r
}

// run starts the Loop. At the end of the test it must have nothing left.
func (r *rig) run() *rig {
	go func() { r.ended <- r.loop.Run() }()
	r.Cleanup(func() {
		r.loop.Stop()
		if err := <-r.ended; err != nil {
			r.Errorf("the loop ended: %v", err)
		}
		r.checkEmpty()
		unix.Close(r.loop.bell) // which a scanner may ring after Run
	})
	return r
}

func (r *rig) checkEmpty() {
	r.Helper()
	if c := r.count(); c.Active != 0 {
		r.Errorf("%d clients are left", c.Active)
	}
	for _, c := range r.loop.slots {
		if c.state != free || c.client.buffer != nil || c.gateway.buffer != nil {
			r.Errorf("slot %d is not free: %+v", c.slot, c)
		}
	}
	held := r.loop.made - len(r.loop.spare)
	if r.loop.chunk != nil {
		held--
	}
	if held != 0 {
		r.Errorf("%d chunks are held", held)
	}
	if _, ok := r.loop.bounds.Take(bounds.Client{Favored: true}); !ok {
		r.Error("the bounds are full")
	}
}

func start(t *testing.T, change ...func(*Config)) *rig { return newRig(t, change...).run() }

func (r *rig) count() relaycount.Counters {
	r.Helper()
	c, err := relaycount.Read(r.counters)
	testenv.Must(r, err)
	return c
}

// eventually waits until the counters are as they should be.
func (r *rig) eventually(what string, ok func(relaycount.Counters) bool) {
	r.Helper()
	testenv.Eventually(r, what, func() bool { return ok(r.count()) })
}

// serve tells the Loop that the gateway at addr is proven, in a new life.
func (r *rig) serve(addr netip.AddrPort) proven.Life {
	r.Helper()
	return r.serveProcess(addr, 0)
}

// serveProcess does the same with the pidfd of a process.
func (r *rig) serveProcess(addr netip.AddrPort, pid int) proven.Life {
	r.Helper()
	r.generation++
	life, err := relaybox.Life(r.generation, addr, me, pid)
	testenv.Must(r, err)
	testenv.Must(r, r.link.Send(life))
	if life.PIDFD >= 0 {
		unix.Close(life.PIDFD)
	}
	return life
}

// dial connects a client.
func (r *rig) dial() *net.TCPConn {
	r.Helper()
	c, err := net.DialTimeout("tcp4", r.addr.String(), 20*time.Second)
	testenv.Must(r, err)
	r.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// dialRefused connects a client that says something and gets nothing. The reset may come
// before connect(2) has returned to it.
func (r *rig) dialRefused() {
	r.Helper()
	c, err := net.DialTimeout("tcp4", r.addr.String(), 20*time.Second)
	var n int64
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err = c.Write([]byte("the token")); err == nil {
			n, err = io.Copy(io.Discard, c)
		}
	}
	if n != 0 || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		r.Errorf("read %d bytes, %v; want a reset", n, err)
	}
}

// gateway is a TCP server whose connections the test takes.
type gateway struct {
	*net.TCPListener
	t    *testing.T
	addr netip.AddrPort
}

func listen(t *testing.T) *gateway {
	t.Helper()
	l := testenv.Listen(t, "127.0.0.1:0")
	return &gateway{l, t, netip.MustParseAddrPort(l.Addr().String())}
}

func (g *gateway) accept() *net.TCPConn {
	g.t.Helper()
	g.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := g.AcceptTCP()
	testenv.Must(g.t, err)
	g.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// pair returns the two ends of a served connection.
func pair(t *testing.T) (r *rig, client, server *net.TCPConn) {
	t.Helper()
	r, g := start(t), listen(t)
	r.serve(g.addr)
	client = r.dial()
	return r, client, g.accept()
}

// expect reads exactly this text.
func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Errorf("read %q, %v; want %q", b[:n], err, text)
	}
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := c.Write([]byte(text))
	testenv.Must(t, err)
}

// expectEnd reads the end of the stream, which is a clean one.
func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes, %v; want the end", n, err)
	}
}

// expectReset reads until the connection fails, which must be by a reset.
func expectReset(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := io.Copy(io.Discard, c)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %d bytes, then %v; want a reset", n, err)
	}
}
