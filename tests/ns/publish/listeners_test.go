// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

var past = time.Unix(1, 0)

// quick makes health checks often.
func quick() obj { return obj{"gateway": obj{"health": obj{"interval": "200ms"}}} }

// Scenario C09. A port with more than 1,024 listeners was an error. Then a restart went on,
// although the next gateway could not be proven, and nothing named the agent.
func TestManyListenersAreForeign(t *testing.T) {
	b := box.Start(t, box.Options{Config: quick()})
	before := b.WaitServing(serveBy)
	var addrs []string
	for i := range 1100 {
		addrs = append(addrs, fmt.Sprintf("127.1.%d.%d:18789", i/250, i%250+1))
	}
	_, release := hold(t, b, box.SandboxUID, true, addrs...)
	b.WaitRecord(serveBy, "listener-foreign", func(r status.Record) error {
		if r.Reason != "listener-foreign" || len(r.Proof.Foreign) != 8 || r.Proof.Foreign[0].UID != box.SandboxUID {
			return fmt.Errorf("%s: %s, %+v", r.Reason, r.Detail, r.Proof.Foreign)
		}
		return nil
	})
	if r := b.Ctl("health"); r.Code != 4 || !strings.Contains(r.Stdout+r.Stderr, "listener-foreign") || !strings.Contains(r.Stdout+r.Stderr, "uid 9002") {
		t.Errorf("health: %v", r)
	}
	if r := b.Ctl("restart"); r.Code != 4 || !strings.Contains(r.Stderr, "listener-foreign") {
		t.Errorf("restart: %v", r)
	}
	release()
	b.WaitRecord(serveBy, "a good health check", func(r status.Record) error {
		if r.Health.State != status.Serving || r.Reason != "" {
			return fmt.Errorf("%+v, %s", r.Health, r.Reason)
		}
		return nil
	})
	if after := b.WaitServing(serveBy); after.Gateway.Process != before.Gateway.Process {
		t.Errorf("another gateway: %+v, before %+v", after.Gateway, before.Gateway)
	}
}

// Scenario C09. A port that the agent had bound without listening was charged to the
// gateway as a crash, and its uid was not named.
func TestBoundPortIsForeign(t *testing.T) {
	b := box.Start(t, box.Options{})
	b.WaitServing(serveBy)
	b.MustCtl("stop")
	for _, addr := range []string{"127.0.0.1:18789", "0.0.0.0:18789", "[::1]:18789"} {
		_, release := hold(t, b, box.SandboxUID, false, addr)
		r := b.Ctl("start")
		if r.Code != 4 || !strings.Contains(r.Stderr, "listener-foreign: port 18789 is taken by uid 9002: "+addr+" is bound") {
			t.Errorf("start beside %s: %v", addr, r)
		}
		if now, err := b.Record(); err != nil || now.Crashes != 0 || now.Backoff == nil || now.Backoff.Streak != 0 {
			t.Errorf("%s: %d crashes, backoff %+v, %v", addr, now.Crashes, now.Backoff, err)
		}
		release()
		b.WaitServing(serveBy)
		b.MustCtl("stop")
	}
}

// Scenario C09. A container that shares the network namespace, and has a process of the
// gateway's uid number, was asked instead of the gateway, and got the token.
func TestTheTokenGoesToTheLoopbackAddress(t *testing.T) {
	b := box.Start(t, box.Options{})
	b.WaitServing(serveBy)
	var addrs []string
	for i := range 40 {
		addrs = append(addrs, fmt.Sprintf("127.0.0.%d:18789", i+2))
	}
	strangers, _ := hold(t, b, box.GatewayUID, true, addrs...)
	for range 20 {
		b.MustCtl("probe")
	}
	if n := accepted(strangers); n != 0 {
		t.Errorf("the stranger of the same uid got %d connections", n)
	}
}
