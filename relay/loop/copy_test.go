// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Scenario C11. TestCopies checks both directions, and the counters.
func TestCopies(t *testing.T) {
	r, client, server := pair(t)
	say(t, client, "question")
	expect(t, server, "question")
	say(t, server, "the answer")
	expect(t, client, "the answer")
	r.eventually("the counters", func(c relaycount.Counters) bool {
		return c.Accepted == 1 && c.Active == 1 && c.Served == 1 && c.ToGateway == 8 && c.ToClient == 10 && c.Lives == 1 && c.Resets == 0
	})
}

// TestGatewaySpeaksFirst checks a protocol in which the server begins.
func TestGatewaySpeaksFirst(t *testing.T) {
	_, client, server := pair(t)
	say(t, server, "220 ready")
	expect(t, client, "220 ready")
}

// TestDataBeforeTheGateway checks that what a client sends at once is not lost.
func TestDataBeforeTheGateway(t *testing.T) {
	r, g := start(t), listen(t)
	client := r.dial()
	say(t, client, "early")
	testenv.Must(t, client.CloseWrite())
	r.serve(g.addr)
	server := g.accept()
	expect(t, server, "early")
	expectEnd(t, server)
	say(t, server, "late")
	expect(t, client, "late")
}

// Scenario C11. TestHalfClose checks that each side can end its half first, and that the
// other half goes on. Both connections end cleanly.
func TestHalfClose(t *testing.T) {
	for name, clientFirst := range map[string]bool{"client-first": true, "gateway-first": false} {
		t.Run(name, func(t *testing.T) {
			r, first, second := pair(t)
			r.eventually("it is proven", func(c relaycount.Counters) bool { return c.Served == 1 })
			if !clientFirst {
				first, second = second, first
			}
			say(t, first, "all")
			testenv.Must(t, first.CloseWrite())
			expect(t, second, "all")
			expectEnd(t, second)
			for range 3 {
				say(t, second, "more")
				expect(t, first, "more")
			}
			testenv.Must(t, second.CloseWrite())
			expectEnd(t, first)
			r.eventually("both have ended", func(c relaycount.Counters) bool { return c.Active == 0 && c.Resets == 0 })
		})
	}
}

// Scenario C11. TestEndWithMuchData checks that an end does not cut what was sent before
// it, although its reader is slow, and the sender has closed.
func TestEndWithMuchData(t *testing.T) {
	r, client, server := pair(t)
	sent := make([]byte, 8<<20)
	fill(sent)
	go func() {
		server.Write(sent)
		server.Close()
	}()
	testenv.Must(t, client.CloseWrite())
	time.Sleep(10 * time.Millisecond) // all buffers fill
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %d of %d bytes, %v", len(got), len(sent), err)
	}
	r.eventually("both have ended", func(c relaycount.Counters) bool { return c.Active == 0 && c.Resets == 0 })
}

func fill(b []byte) {
	random := rand.NewChaCha8([32]byte{1})
	random.Read(b)
}

// Scenario C11. TestResetIsPassedOn checks that a reset is not taken for an end, in both
// directions.
func TestResetIsPassedOn(t *testing.T) {
	for name, fromClient := range map[string]bool{"client": true, "gateway": false} {
		t.Run(name, func(t *testing.T) {
			r, one, other := pair(t)
			if !fromClient {
				one, other = other, one
			}
			say(t, one, "x")
			expect(t, other, "x")
			testenv.Must(t, one.SetLinger(0))
			one.Close()
			expectReset(t, other)
			r.eventually("it is gone", func(c relaycount.Counters) bool { return c.Active == 0 && c.Resets == 1 })
		})
	}
}

// stuff writes until nothing moves any more, and returns how much was written.
func stuff(t *testing.T, r *rig, c *net.TCPConn) (n int) {
	t.Helper()
	block := make([]byte, 64<<10)
	for {
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		k, err := c.Write(block)
		if n += k; err != nil {
			c.SetDeadline(time.Now().Add(20 * time.Second))
			return n
		}
	}
}

// Scenario C11. TestResetDuringBackpressure checks that a reset of one side is noticed
// while the loop waits to write to the other one, which does not read. That one must not
// read a clean end after what it has got.
func TestResetDuringBackpressure(t *testing.T) {
	for name, c := range map[string]struct{ fromClient, writerResets bool }{
		"client-writes-and-resets":   {true, true},
		"gateway-writes-and-resets":  {false, true},
		"client-writes-other-resets": {true, false}, "gateway-writes-other-resets": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, writer, reader := pair(t)
			if !c.fromClient {
				writer, reader = reader, writer
			}
			stuff(t, r, writer)
			gone, other := writer, reader
			if !c.writerResets {
				gone, other = reader, writer
			}
			testenv.Must(t, gone.SetLinger(0))
			gone.Close()
			r.eventually("it is gone", func(c relaycount.Counters) bool { return c.Active == 0 && c.Resets == 1 })
			expectReset(t, other)
		})
	}
}

// Scenario C12. TestStuckClients checks that clients that do not read hold a bounded
// number of chunks, and that the others are served correctly all the same.
func TestStuckClients(t *testing.T) {
	const stuck = 2 * maxChunks
	var r *rig
	t.Cleanup(func() { // after the loop has ended
		if r.loop.made != maxChunks {
			t.Errorf("%d chunks for %d stuck clients, want %d", r.loop.made, stuck, maxChunks)
		}
	})
	r = start(t)
	g := listen(t)
	r.serve(g.addr)
	var writers []*net.TCPConn
	for range stuck {
		r.dial()
		writers = append(writers, g.accept())
	}
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() { stuff(t, r, w) })
	}
	wg.Wait()
	client := r.dial()
	echo(t, client, g.accept(), 4<<20)
	for _, w := range writers {
		w.SetLinger(0)
		w.Close()
	}
	r.eventually("all are gone", func(c relaycount.Counters) bool { return c.Active == 0 })
}

// echo sends bytes around, by a server that returns them, and compares.
func echo(t *testing.T, client, server *net.TCPConn, size int) {
	t.Helper()
	go func() {
		io.Copy(server, server)
		server.CloseWrite()
	}()
	sent := make([]byte, size)
	fill(sent)
	go func() {
		client.Write(sent)
		client.CloseWrite()
	}()
	sum := sha256.New()
	n, err := io.Copy(sum, client)
	if want := sha256.Sum256(sent); err != nil || n != int64(size) || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("got %d of %d bytes back, %v", n, size, err)
	}
}

// Scenario C11. TestManyAtOnce checks that many connections with traffic in both
// directions do not mix or lose bytes.
func TestManyAtOnce(t *testing.T) {
	r, g := start(t), listen(t)
	r.serve(g.addr)
	var wg sync.WaitGroup
	for range 30 {
		client := r.dial()
		server := g.accept()
		wg.Go(func() { echo(t, client, server, 1<<20) })
	}
	wg.Wait()
	r.eventually("all have ended", func(c relaycount.Counters) bool {
		return c.Active == 0 && c.Resets == 0 && c.ToGateway == 30<<20 && c.ToClient == 30<<20
	})
}

// Scenario C12. TestFairTurns checks that a client with endless data does not keep the
// others waiting.
func TestFairTurns(t *testing.T) {
	r, g := start(t), listen(t)
	r.serve(g.addr)
	endless := r.dial()
	sink := g.accept()
	endless.SetDeadline(time.Time{})
	sink.SetDeadline(time.Time{})
	go io.Copy(io.Discard, sink)
	go func() {
		for block := make([]byte, 1<<20); ; {
			if _, err := endless.Write(block); err != nil {
				return
			}
		}
	}()
	client := r.dial()
	server := g.accept()
	for range 100 {
		say(t, client, "x")
		expect(t, server, "x")
	}
	endless.Close()
}

// Scenario C11. TestStopIsNoCleanEnd checks that a relay that ends does not send an end
// that looks like the gateway's.
func TestStopIsNoCleanEnd(t *testing.T) {
	r, client, server := pair(t)
	say(t, server, "half")
	expect(t, client, "half")
	r.loop.Stop()
	expectReset(t, client)
	expectReset(t, server)
}
