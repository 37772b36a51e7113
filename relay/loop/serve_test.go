// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/relay/bounds"
)

// refusedFor returns a condition: so many clients were refused for this reason, and for
// no other one.
func refusedAs(reason relaycount.Reason, n uint64) func(relaycount.Counters) bool {
	want := relaycount.Counters{}
	want.Refused[reason] = n
	return func(c relaycount.Counters) bool { return c.Refused == want.Refused && c.Served == 0 && c.Active == 0 }
}

// TestWaitsForAGateway checks that clients wait for the next life, in their order, and
// not longer than they are told.
func TestWaitsForAGateway(t *testing.T) {
	r, g := start(t), listen(t)
	var clients []*net.TCPConn
	for range 5 {
		c := r.dial()
		say(t, c, "hello")
		clients = append(clients, c)
		r.eventually("it waits", func(c relaycount.Counters) bool { return c.Active == uint64(len(clients)) })
	}
	r.serve(g.addr)
	for n, c := range clients {
		server := g.accept()
		expect(t, server, "hello")
		say(t, server, string(rune('a'+n)))
		expect(t, c, string(rune('a'+n)))
	}
	short := start(t, func(c *Config) { c.Wait = 50 * time.Millisecond })
	expectReset(t, short.dial())
	short.eventually("it was refused", refusedAs(relaycount.NoLife, 1))
}

// TestClientBeforeTheRelay checks that a client that came before the listener had its
// options is reset like the others.
func TestClientBeforeTheRelay(t *testing.T) {
	var early net.Conn
	r := newRig(t, func(c *Config) {
		addr, err := sys.LocalAddr(c.Listeners[0])
		testenv.Must(t, err)
		early, err = net.Dial("tcp4", addr.String())
		testenv.Must(t, err)
	}).run()
	defer early.Close()
	early.SetDeadline(time.Now().Add(20 * time.Second))
	r.eventually("it waits", func(c relaycount.Counters) bool { return c.Active == 1 })
	r.loop.Stop()
	expectReset(t, early)
}

// TestNoLife checks that the connections of a life end with it, and that a client that
// comes then is served by the next one alone.
func TestNoLife(t *testing.T) {
	r, client, server := pair(t)
	say(t, client, "x")
	expect(t, server, "x")
	testenv.Must(t, r.link.SendNone(2))
	expectReset(t, client)
	expectReset(t, server)
	next := r.dial()
	say(t, next, "for the next one")
	g := listen(t)
	r.serve(g.addr)
	expect(t, g.accept(), "for the next one")
}

// Scenario C13. TestNextLifeEndsTheOneBefore checks that a new generation resets the
// connections of the one before, and that a new proof of the same one does not.
func TestNextLifeEndsTheOneBefore(t *testing.T) {
	r, g := start(t), listen(t)
	life := r.serve(g.addr)
	client := r.dial()
	server := g.accept()
	say(t, client, "a")
	expect(t, server, "a")
	testenv.Must(t, r.link.Send(life))
	r.eventually("it was proven again", func(c relaycount.Counters) bool { return c.Lives == 2 })
	say(t, client, "b")
	expect(t, server, "b")
	r.serve(g.addr)
	expectReset(t, client)
	expectReset(t, server)
}

// Scenario C13. TestGatewayEnds checks that the end of the gateway's process resets its
// connections at once, also while a child of it keeps the listener and the connection,
// and before PID 1 has said a word.
func TestGatewayEnds(t *testing.T) {
	r, g := start(t), listen(t)
	process := exec.Command("/bin/sleep", "100")
	testenv.Must(t, process.Start())
	defer process.Wait()
	r.serveProcess(g.addr, process.Process.Pid)
	client := r.dial()
	server := g.accept()
	say(t, client, "x")
	expect(t, server, "x")
	testenv.Must(t, process.Process.Kill())
	expectReset(t, client)
	expectReset(t, server)
	waits := r.dial()
	say(t, waits, "secret")
	r.eventually("it waits", func(c relaycount.Counters) bool { return c.Accepted == 2 && c.Active == 1 })
	g.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if c, err := g.AcceptTCP(); err == nil {
		t.Errorf("a connection to what the gateway left: %v", c)
	}
}

// Invariant I9. TestStrangerAnswers checks that no byte flows in either direction if
// another user's process accepts, and that its uid is known.
func TestStrangerAnswers(t *testing.T) {
	r := start(t)
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", testenv.Stranger, func(c *testenv.Client, _ int) {
		c.Say("give me the token")
		c.Request()
	})
	r.serve(s.Addr)
	r.dialRefused()
	r.eventually("it was refused", refusedAs(relaycount.Foreign, 1))
	if s.Heard() != "" {
		t.Errorf("the stranger heard %q", s.Heard())
	}
	if uid, ok := r.count().ForeignUID(); !ok || uid != testenv.Stranger {
		t.Errorf("uid %d, %v", uid, ok)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.refused, []uint32{testenv.Stranger}) {
		t.Errorf("logged %v", r.refused)
	}
}

// Scenario C13. TestListensAnew checks a gateway that opens another listener in one life:
// PID 1 is asked once, and the clients wait for its answer.
func TestListensAnew(t *testing.T) {
	r, g := start(t), listen(t)
	life := r.serve(g.addr)
	g.Close()
	testenv.Listen(t, g.addr.String())
	for range 3 {
		say(t, r.dial(), "x")
	}
	asked, err := r.link.Next()
	if err != nil || asked.Generation != life.Generation {
		t.Fatalf("asked for %+v, %v", asked, err)
	}
	r.eventually("they wait", func(c relaycount.Counters) bool { return c.Active == 3 && c.Served == 0 })
	r.generation--
	r.serve(g.addr)
	r.eventually("they are served", func(c relaycount.Counters) bool { return c.Served == 3 })
	more := make(chan bool, 1)
	go func() { _, err := r.link.Next(); more <- err == nil }()
	select {
	case <-more:
		t.Error("PID 1 was asked twice within a second")
	case <-time.After(100 * time.Millisecond):
	}
}

// TestGatewayDoesNotListenYet checks that clients wait for a gateway that refuses, which
// is between two listeners or about to end.
func TestGatewayDoesNotListenYet(t *testing.T) {
	r, g := start(t), listen(t)
	r.serve(g.addr)
	g.Close()
	client := r.dial()
	say(t, client, "x")
	r.eventually("it waits", func(c relaycount.Counters) bool { return c.Active == 1 })
	next := listen(t)
	r.serve(next.addr)
	expect(t, next.accept(), "x")
}

// TestGatewayClosesAtOnce checks that a gateway that drops a connection before it could
// be proven does not keep the client waiting.
func TestGatewayClosesAtOnce(t *testing.T) {
	r := start(t)
	s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, func(*testenv.Client, int) {})
	r.serve(s.Addr)
	begin := time.Now()
	for range 20 {
		c, err := net.Dial("tcp4", r.addr.String())
		if err != nil {
			continue // the reset came first
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("read %d, %v", n, err)
		}
		c.Close()
	}
	if took := time.Since(begin); took > 20*proofLimit/2 {
		t.Errorf("it took %v", took)
	}
}

// TestGatewayResets checks that a client gets a second try if the gateway resets it before
// it could be proven, as a gateway that ends does with its backlog.
func TestGatewayResets(t *testing.T) {
	r, g := start(t), listen(t)
	raw, err := g.SyscallConn()
	testenv.Must(t, err)
	// Without data there is no connection to prove, only one to reset.
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30) })
	testenv.Must(t, err)
	r.serve(g.addr)
	client := r.dial()
	r.eventually("it is being proven", func(c relaycount.Counters) bool { return c.Active == 1 })
	g.Close() // which resets its backlog
	next := listen(t)
	r.serve(next.addr)
	say(t, client, "x")
	expect(t, next.accept(), "x")
}

// Scenario C13. TestStoppedGateway checks a gateway whose event loop stands still:
// clients are connected, what they send waits in the kernel, and nothing is reset.
func TestStoppedGateway(t *testing.T) {
	r, g := start(t), listen(t)
	r.serve(g.addr)
	var clients []*net.TCPConn
	for range 50 {
		c := r.dial()
		say(t, c, "x")
		clients = append(clients, c)
	}
	r.eventually("all are connected", func(c relaycount.Counters) bool { return c.Served == 50 })
	time.Sleep(long(t, 300*time.Millisecond, 3*time.Second))
	for _, c := range clients {
		server := g.accept()
		expect(t, server, "x")
		server.Close()
		expectEnd(t, c)
	}
}

func long(t *testing.T, short, long time.Duration) time.Duration {
	if testenv.Long(t) {
		return long
	}
	return short
}

// TestWorkers checks several listeners of one gateway.
func TestWorkers(t *testing.T) {
	r := start(t)
	var addr netip.AddrPort
	heard := make(chan bool)
	for range 3 {
		l := listenShared(t, addr)
		addr = netip.MustParseAddrPort(l.Addr().String())
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Read(make([]byte, 1))
				c.Close()
				heard <- true
			}
		}()
	}
	r.serve(addr)
	for range 20 {
		say(t, r.dial(), "x")
		<-heard
	}
	if c := r.count(); c.Served != 20 {
		t.Errorf("%+v", c)
	}
}

// Scenario C12. TestBounds checks that a local user beyond its bound is reset, and that
// the favored ones are served meanwhile.
func TestBounds(t *testing.T) {
	r, g := start(t, func(c *Config) {
		c.Operator, c.Limits = testenv.Gateway, bounds.Limits{Total: 20, Kept: 4, PerUser: 8, PerAddress: 8}
	}), listen(t)
	r.serve(g.addr)
	agent := dialAs(t, testenv.Stranger, r.addr, 12)
	r.eventually("some were refused", func(c relaycount.Counters) bool {
		return c.Active == 8 && c.Refused[relaycount.LocalLimit] == 4
	})
	operator := dialAs(t, testenv.Gateway, r.addr, 12)
	r.eventually("the operator is served", func(c relaycount.Counters) bool { return c.Active == 20 })
	r.dialRefused()
	r.eventually("it is full", func(c relaycount.Counters) bool { return c.Refused[relaycount.TotalLimit] == 1 })
	for _, c := range slices.Concat(agent, operator) {
		c.Close()
	}
	testenv.Must(t, r.link.SendNone(2)) // the gateway has accepted none
	r.eventually("all have gone", func(c relaycount.Counters) bool { return c.Active == 0 })
}
