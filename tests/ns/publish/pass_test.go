// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// passed is the demo gateway with the published port's sockets.
func passed(o box.Options) box.Options {
	o.Published = true
	if o.Config == nil {
		o.Config = obj{}
	}
	o.Config["gateway"] = obj{"listen": obj{"port_env": nil, "pass_fd": true}}
	return o
}

// Scenario C06. TestPassedSockets checks that a gateway with PID 1's sockets is proven,
// that no process can take its port while it is down, and that a client that connects then
// is served by the next gateway.
func TestPassedSockets(t *testing.T) {
	b := box.Start(t, passed(box.Options{}))
	r := b.WaitServing(serveBy)
	if p := r.Publish; p == nil || p.Relay != nil || p.Problem != "" || len(p.Listens) != 2 || r.Gateway.Port != 18789 {
		t.Fatalf("published: %+v, port %d", p, r.Gateway.Port)
	}
	for range 3 {
		b.MustCtl("restart")
	}
	b.MustCtl("stop")
	for _, addr := range []string{"127.0.0.1:18789", "[::1]:18789", "127.0.0.2:18789", "[::]:18789", "0.0.0.0:18789"} {
		if r := b.Exec(box.SandboxUID, "demotools", "hold-port", addr); r.Code == 0 || !strings.Contains(r.Stderr, "address already in use") {
			t.Errorf("the agent's bind of %s: %v", addr, r)
		}
	}
	answer := make(chan harness.Result, 1)
	go func() { answer <- b.Exec(box.SandboxUID, "demotools", "http", "GET", "http://127.0.0.1:18789/health") }()
	select {
	case r := <-answer:
		t.Fatalf("answered while no gateway runs: %v", r)
	case <-time.After(300 * time.Millisecond):
	}
	b.MustCtl("start")
	if r := <-answer; r.Code != 0 || !strings.HasPrefix(r.Stdout, "200\n") {
		t.Errorf("the client that waited: %v", r)
	}
	b.WaitRecord(serveBy, "the proof", func(r status.Record) error {
		if r.Proof.Auth != status.Held || r.Proof.Listener != status.Held {
			return fmt.Errorf("%+v", r.Proof)
		}
		return nil
	})
	if s := b.Ctl("status", "-v").Unwrapped(); !strings.Contains(s.Stdout, "passed to the gateway") || !strings.Contains(s.Stdout, "published port held") {
		t.Errorf("status:\n%s", s.Stdout)
	}
}
