// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// A gateway that answers without a token is not proven, neither for root nor for PID 1.
func TestAuthenticationOff(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle})
	box.WaitServing(serveBy)
	box.Misbehave(map[string]any{"token_mode": "none"})
	for _, verb := range []string{"probe", "status", "health"} {
		if r := root(box, verb); r.Code != 4 || !strings.Contains(r.Stdout+r.Stderr, "auth-mismatch") {
			t.Errorf("%s: %v", verb, r)
		}
	}
	if r := root(box, "restart"); r.Code != 0 || !strings.Contains(r.Stdout, "proven") { // the next one asks for it
		t.Errorf("restart: %v", r)
	}
	box.SetMisbehave(map[string]any{"token_mode": "none"})
	if r := root(box, "restart", "--timeout", "5s"); r.Code != 6 || !strings.Contains(r.Stderr, "auth-mismatch") {
		t.Errorf("restart without: %v", r)
	}
}

// If the next start is impossible, a restart finds that before it ends a healthy
// gateway. Otherwise the agent could turn a restart into an outage.
func TestNotStoppedInVain(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle})
	now := box.WaitServing(serveBy)
	box.ExecDetached("sandbox", "demotools", "hold-port", fmt.Sprintf("127.0.0.2:%d", harness.Port))
	harness.Eventually(t, serveBy, "somebody listens beside the gateway", func() error {
		if r := root(box, "probe"); r.Code != 4 || !strings.Contains(r.Stderr, "listener-foreign") {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	for _, verb := range []string{"restart", "recover"} {
		if r := root(box, verb); r.Code != 4 || !strings.Contains(r.Stderr, "listener-foreign") {
			t.Errorf("%s: %v", verb, r)
		}
	}
	if again := box.Status(); again.Gateway.Process != now.Gateway.Process {
		t.Errorf("the gateway was %v and is %v", now.Gateway, again.Gateway)
	}
}

// recover gives a gateway time to start, and does not end one that was slow once.
func TestRecoverIsPatient(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle, Misbehave: map[string]any{"ready_after": "4s"}})
	box.WaitState("starting", serveBy)
	r := root(box, "recover")
	now := box.WaitServing(serveBy)
	if r.Code != 0 || r.Stdout != fmt.Sprintf("already running: pid %d, proven\n", now.Gateway.PID) || now.LastExit != nil {
		t.Errorf("while it starts: %v; %+v", r, now.LastExit)
	}
	box.Misbehave(map[string]any{"fail_next": 2})
	if r := root(box, "recover"); r.Code != 0 || r.Stdout != fmt.Sprintf("already running: pid %d, proven\n", now.Gateway.PID) {
		t.Errorf("slow once: %v", r)
	}
}

// A sidecar that has the token is no gateway.
func TestSidecarWithToken(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle, Config: map[string]any{"sidecars": []any{map[string]any{
		"name": "relay", "command": []string{"/usr/local/bin/demotools", "sleep", "600"}, "user": "gateway", "token_env": "OPENCLAW_GATEWAY_TOKEN"}}}})
	box.WaitServing(serveBy)
	if r := root(box, "restart"); r.Code != 0 {
		t.Errorf("restart: %v", r)
	}
}
