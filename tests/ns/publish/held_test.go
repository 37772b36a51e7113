// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

const published = "127.0.0.1:18789"

// get asks the gateway over a new connection from within the box.
func get(b *box.Box, addr, path string) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := harness.DialIn(ctx, b.PID, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path); err != nil {
		return 0, err
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && !strings.Contains(string(body), `"ok":true`) {
		err = fmt.Errorf("body %q", body)
	}
	return r.StatusCode, err
}

// isReset reports whether the relay has refused a connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// Scenario C01. TestPublishedPort checks that each address of the port leads to the
// gateway, that the gateway's own port is another one for each start, and that the relay
// lives through restarts.
func TestPublishedPort(t *testing.T) {
	b := box.Start(t, box.Options{Published: true})
	first := b.WaitServing(serveBy)
	waitProven(b)
	ports := map[uint16]bool{first.Gateway.Port: true}
	relay := first.Publish.Relay.PID
	for range 5 {
		b.MustCtl("restart")
		r := waitProven(b)
		ports[r.Gateway.Port] = true
		if r.Publish.Relay.PID != relay || r.Gateway.Port == 18789 || !r.Gateway.RandomPort {
			t.Errorf("relay %d, before %d, port %d", r.Publish.Relay.PID, relay, r.Gateway.Port)
		}
		for _, addr := range []string{published, "[::1]:18789", "127.0.0.2:18789"} {
			if code, err := get(b, addr, "/health"); code != 200 || err != nil {
				t.Errorf("%s: %d, %v", addr, code, err)
			}
		}
	}
	if len(ports) < 5 {
		t.Errorf("the ports were %v", ports)
	}
	s := b.Ctl("status", "-v").Unwrapped().Stdout
	if !strings.Contains(s, "port 18789 on 0.0.0.0:18789, [::]:18789, relay pid ") || !strings.Contains(s, "published port held") {
		t.Errorf("status:\n%s", s)
	}
	if strings.Contains(s, "port-not-held") {
		t.Error("hardening says that the port is not held")
	}
}

// waitProven waits until the relay passes clients to a proven gateway.
func waitProven(b *box.Box) status.Record {
	return b.WaitRecord(serveBy, "a proven gateway behind the published port", func(r status.Record) error {
		if r.State != status.Running || r.Publish == nil || r.Publish.Relay == nil || r.Publish.Relay.PID == 0 || !r.Publish.Proven {
			return fmt.Errorf("%s, %+v", r.State, r.Publish)
		}
		return nil
	})
}

// Scenario C02. TestNobodyElseBindsThePublishedPort kills the relay again and again under
// load, while the agent tries every form of the address. No bind succeeds, and the waiting
// clients are served. The positive control is a gateway without a published port, whose
// port the agent gets.
func TestNobodyElseBindsThePublishedPort(t *testing.T) {
	kills := harness.Rounds(t, 15, 100)
	b := box.Start(t, box.Options{Published: true})
	b.WaitServing(serveBy)
	waitProven(b)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var all sync.WaitGroup
	var tries, served, reset atomic.Int64
	all.Go(func() {
		for ctx.Err() == nil {
			for _, uid := range []int{box.SandboxUID, 0} {
				won, n, err := bindAll(b, uid)
				if tries.Add(int64(n)); err != nil || len(won) > 0 {
					t.Errorf("uid %d binds %v, %v", uid, won, err)
					return
				}
			}
		}
	})
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				switch code, err := get(b, published, "/health"); {
				case code == 200 && err == nil:
					served.Add(1)
				case isReset(err) || errors.Is(err, io.ErrUnexpectedEOF): // its relay was killed
					reset.Add(1)
				default:
					t.Errorf("a client got %d, %v", code, err)
					return
				}
			}
		})
	}
	before := 0
	for range kills {
		r := b.WaitRecord(serveBy, "the next relay", func(r status.Record) error {
			if r.Publish.Relay.PID == 0 || r.Publish.Relay.PID == before {
				return fmt.Errorf("%+v", r.Publish.Relay)
			}
			return nil
		})
		before = r.Publish.Relay.PID
		count := served.Load()
		testenv.Eventually(t, "a client to be served", func() bool { return served.Load() > count || ctx.Err() != nil })
		kill(b, before)
	}
	stop()
	all.Wait()
	t.Logf("%d binds refused, %d clients served, %d reset", tries.Load(), served.Load(), reset.Load())
	if tries.Load() < 1000 || served.Load() < int64(kills) || reset.Load() > 8*int64(kills) {
		t.Error("the test proves little")
	}
}

// kill sends SIGKILL to a process of the box.
func kill(b *box.Box, pid int) { b.Tools(0, "sigsend", fmt.Sprint(pid), "KILL") }

// TestPositiveControlOfBind checks that the agent's binds win where no port is held.
func TestPositiveControlOfBind(t *testing.T) {
	b := box.Start(t, box.Options{})
	b.WaitServing(serveBy)
	if won, _, err := bindAll(b, box.SandboxUID); err != nil || len(won) == 0 {
		t.Errorf("the agent binds %v, %v", won, err)
	}
}

// Scenario C03. TestConnectionsInARow makes connections one after the other while the
// gateway is restarted. At least 99 of 100 are served, the others are reset, and no
// descriptor is left in the relay.
func TestConnectionsInARow(t *testing.T) {
	connections, restarts := harness.Rounds(t, 2000, 10_000), harness.Rounds(t, 10, 50)
	b := box.Start(t, box.Options{Published: true, Config: obj{"gateway": obj{"restart": obj{"backoff_min": "10ms"}}}})
	b.WaitServing(serveBy)
	relay := waitProven(b).Publish.Relay.PID
	if code, err := get(b, published, "/health"); code != 200 || err != nil { // it has all that it needs then
		t.Errorf("%d, %v", code, err)
	}
	before := descriptors(t, b, relay)
	var all sync.WaitGroup
	done := make(chan struct{})
	all.Go(func() {
		defer close(done)
		for range restarts {
			if r := b.Ctl("restart"); r.Code != 0 {
				t.Errorf("restart: %v", r)
			}
		}
	})
	served, reset := 0, 0
	restarting := true
	for n := 0; n < connections || restarting; n++ {
		select {
		case <-done:
			restarting = false
		default:
		}
		switch code, err := get(b, published, "/health"); {
		case code == 200 && err == nil:
			served++
		case isReset(err), errors.Is(err, io.ErrUnexpectedEOF):
			reset++
		default:
			t.Errorf("connection %d: %d, %v", n, code, err)
		}
	}
	all.Wait()
	t.Logf("%d served, %d reset, %d restarts", served, reset, restarts)
	if reset*100 > served+reset {
		t.Errorf("%d of %d were reset", reset, served+reset)
	}
	testenv.Eventually(t, "no descriptor to be left in the relay", func() bool {
		return descriptors(t, b, relay) <= before
	})
	if now := waitProven(b).Publish.Relay.PID; now != relay {
		t.Errorf("relay %d, before %d", now, relay)
	}
}

// descriptors counts the open descriptors of a process of the box.
func descriptors(t *testing.T, b *box.Box, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(b.Path(fmt.Sprintf("/proc/%d/fd", pid)))
	testenv.Must(t, err)
	return len(entries)
}

// Scenario C01. TestCrashKeepsTheToken checks that clients of the published port are no
// reason for a new token: PID 1 holds that port, so no client can have sent the token to
// another process. A new one would log every browser out.
func TestCrashKeepsTheToken(t *testing.T) {
	b := box.Start(t, box.Options{Published: true, Config: obj{
		"gateway":  obj{"restart": obj{"backoff_min": "10ms"}},
		"sidecars": []any{obj{"name": "holder", "command": []string{"/usr/local/bin/demotools", "sleep", "3600"}, "user": "operator", "token_env": "OPENCLAW_GATEWAY_TOKEN"}},
	}})
	b.WaitServing(serveBy)
	b.WaitRecord(serveBy, "the sidecar", func(r status.Record) error {
		if r.Sidecars[0].PID == 0 {
			return fmt.Errorf("%+v", r.Sidecars)
		}
		return nil
	})
	token := b.MustCtl("token")
	for range 3 {
		old := b.WaitServing(serveBy).Gateway.Process
		kill(b, old.PID)
		b.WaitRecord(serveBy, "the next gateway", func(r status.Record) error {
			if r.State != status.Running || r.Gateway.Process == old {
				return fmt.Errorf("%s, %+v", r.State, r.Gateway)
			}
			return nil
		})
	}
	if b.MustCtl("token") != token {
		t.Error("a crash changed the token")
	}
}

// Scenario C03. TestClientsWaitForTheNextGateway checks that a client that connects while
// no gateway serves is served by the next one, and that it is reset if that takes too long.
func TestClientsWaitForTheNextGateway(t *testing.T) {
	b := box.Start(t, box.Options{Published: true, Config: obj{"publish": obj{"wait": "2s"}}})
	b.WaitServing(serveBy)
	waitProven(b)
	b.MustCtl("stop")
	begin := time.Now()
	if _, err := get(b, published, "/health"); !isReset(err) {
		t.Errorf("while it is stopped: %v", err)
	}
	if d := time.Since(begin); d < 1900*time.Millisecond {
		t.Errorf("reset after %v, and publish.wait is 2s", d)
	}
	got := make(chan error, 1)
	go func() {
		_, err := get(b, published, "/health")
		got <- err
	}()
	b.MustCtl("start")
	if err := <-got; err != nil {
		t.Errorf("the client that waited: %v", err)
	}
}

// Scenario C04. TestStrangerHasThePort checks that a port that another process has bound
// before boot is not published, even if that process does not listen. The process's uid is
// named, and the gateway runs.
func TestStrangerHasThePort(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:18789", "[::1]:18789", "127.0.0.9:18789"} {
		t.Run(strings.NewReplacer(":", "-", "[", "", "]", "").Replace(addr), func(t *testing.T) {
			b := box.Start(t, box.Options{Published: true, Below: []string{"/usr/local/bin/demotools", "bound-first", addr, "9002"}})
			r := b.WaitServing(serveBy)
			problem := "port 18789 is taken by uid 9002: " + addr + " is bound"
			if p := r.Publish; p == nil || p.Problem != problem || p.Proven || p.Relay != nil || len(p.Listens) != 0 {
				t.Errorf("published: %+v", p)
			}
			s := b.Ctl("status", "-v").Unwrapped().Stdout
			if !strings.Contains(s, "NOT HELD: "+problem) || !strings.Contains(s, "port-not-held: "+problem) {
				t.Errorf("status:\n%s", s)
			}
			if !strings.Contains(b.Log(), `"event":"not-published"`) {
				t.Error("nothing was logged")
			}
		})
	}
}

// Scenario C10. TestPublishedWithoutRoot checks that one user for all has a published port,
// too, and that root operates such a supervisor from outside although each gateway has
// another port.
func TestPublishedWithoutRoot(t *testing.T) {
	b := box.Start(t, box.Options{Published: true, UID: 1000, Mounts: []box.Mount{{At: "/dev/shm", Data: "mode=1777,size=4m"}}, Config: obj{"gateway": obj{"working_dir": "/"}, "prepare": []any{}}})
	own := func(args ...string) harness.Result { return b.Exec(1000, append([]string{"gatewayctl"}, args...)...) }
	harness.Eventually(t, serveBy, "a gateway that serves", func() error {
		if r := own("health"); r.Code != 0 {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	for range 3 {
		if code, err := get(b, published, "/health"); code != 200 || err != nil {
			t.Errorf("%d, %v", code, err)
		}
		if r := b.Ctl("restart"); r.Code != 0 {
			t.Errorf("restart by root: %v", r)
		}
	}
	if r := b.Ctl("status"); r.Code != 0 || !strings.Contains(r.Stdout, "SERVING") {
		t.Errorf("status of root: %v", r)
	}
	if r := own("restart"); r.Code != 0 {
		t.Errorf("restart by the user: %v", r)
	}
}
