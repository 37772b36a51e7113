// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// quick returns a configuration with a short ready timeout.
func quick() map[string]any {
	return map[string]any{"gateway": map[string]any{"ready": map[string]any{"timeout": "2s"}}}
}

// Invariant I4. Success means that the new gateway was proven. A gateway that runs
// but cannot be proven is a failure, with the reason why.
func TestUnprovenGatewayIsNeverSuccess(t *testing.T) {
	for name, c := range map[string]struct {
		misbehave map[string]any
		reason    string
	}{
		"no-listener": {map[string]any{"listen_after": "1h"}, "listener-missing"},
		"not-ready":   {map[string]any{"not_ready": true}, "health-timeout"},
		"hangs":       {map[string]any{"accept": "hang"}, "health-timeout"},
		"a-page":      {map[string]any{"answer": "page"}, "unproven"},
		"other-token": {map[string]any{"token_mode": "other"}, "auth-mismatch"},
		"no-token":    {map[string]any{"token_mode": "none"}, "auth-mismatch"},
		"ends":        {map[string]any{"start_exit": 1}, "exited"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := harness.Start(t, harness.Options{Config: quick()})
			box.WaitServing(30 * time.Second)
			box.SetMisbehave(c.misbehave)
			r := box.Ctl("restart", "--timeout", "60s")
			if r.Code == 0 || !strings.Contains(r.Stderr, c.reason) {
				t.Errorf("restart of a gateway that cannot be proven: %v, want %s", r, c.reason)
			}
			if h := box.Ctl("health"); h.Code == 0 {
				t.Errorf("health: %v", h)
			}
		})
	}
}

// Invariant I5. An unknown result is neither success nor failure of the gateway. The
// request is refused with the reason, and a gateway that may be healthy is left
// alone.
func TestAmbiguousAnswerEndsNoGateway(t *testing.T) {
	c := harness.Start(t, harness.Options{Config: map[string]any{"gateway": map[string]any{
		"health": map[string]any{"interval": "1s"}}}})
	before := c.WaitServing(30 * time.Second)
	c.Misbehave(map[string]any{"status": 429}) // it serves, and asks for a later try
	for _, verb := range []string{"probe", "recover"} {
		if r := c.Ctl(verb); r.Code != 4 || !strings.Contains(r.Stderr, "unproven") {
			t.Errorf("%s: %v", verb, r)
		}
	}
	// Health checks go on. If their failures counted, these would end the gateway.
	at := func(r status.Record) string { return fmt.Sprint(r.Health.At) }
	for range 6 {
		last := at(c.Status())
		c.WaitStatus(20*time.Second, "another health check", func(v harness.View) error {
			if v.Record == nil || at(*v.Record) == last {
				return fmt.Errorf("none yet")
			}
			return nil
		})
	}
	now := c.Status()
	if now.Gateway.Process != before.Gateway.Process || now.Crashes != 0 || now.Restarts != 0 {
		t.Errorf("an ambiguous answer ended the gateway: %+v", now)
	}
	if r := c.Ctl("health"); r.Code == 0 {
		t.Errorf("health reports success: %v", r)
	}
}
