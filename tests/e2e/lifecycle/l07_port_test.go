// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

const listenAddr = "127.0.0.1:18789"

// Scenario L07. If the gateway replaces itself with a detached process that
// holds the port, that process is found and named. There is never an
// EADDRINUSE loop without a reason in the status.
//
// A gateway replaced itself with a detached process that held the port. Every new
// one ended with EADDRINUSE, and nothing named the process.
func TestProcessOnThePortIsNamed(t *testing.T) {
	t.Run("detached-from-a-serving-gateway", detachedOnce)
	t.Run("detaches-at-every-start", detachedAlways)
	for user, uid := range map[string]uint32{"sandbox": harness.SandboxUID, "root": 0} {
		t.Run("port-taken-by-"+user, func(t *testing.T) { portTaken(t, user, harness.UID(t, uid)) })
	}
}

// detachedOnce checks that the process that the old gateway left is named and ended,
// and that our child serves again.
func detachedOnce(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: gatewayConfig(object{"restart": object{"backoff_min": "3s"}})})
	old := c.WaitServing(serveBy)
	c.Misbehave(object{"detach": true})
	waiting := c.WaitState(status.Backoff, serveBy)
	whose := fmt.Sprintf("held by uid %d", harness.GatewayUID)
	if harness.NonRoot(t) { // all processes have the same uid
		whose = "held"
	}
	if waiting.Reason != "exited" || !strings.Contains(waiting.Detail, listenAddr+" is still "+whose) {
		t.Errorf("the owner of the port is not named: %s: %s", waiting.Reason, waiting.Detail)
	}
	if f := waiting.Proof.Foreign; len(f) != 1 || f[0].Addr != listenAddr || f[0].UID != harness.UID(t, harness.GatewayUID) {
		t.Errorf("sockets in the way: %+v", f)
	}
	now := c.WaitNewGateway(old.Gateway.Process, serveBy)
	checkProven(t, now)
	if e := now.LastExit; e == nil || e.Code != 0 || e.Failure || now.Crashes != 0 || len(now.Proof.Foreign) != 0 {
		t.Errorf("last exit %+v, %d crashes, in the way: %+v", e, now.Crashes, now.Proof.Foreign)
	}
	checkOnlyGateway(t, c, now)
}

// detachedAlways checks that the port is free for the next gateway each time, and
// that status always has a reason.
func detachedAlways(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Misbehave: object{"detach": true}, Config: gatewayConfig(object{
		"restart": object{"backoff_min": "100ms", "backoff_max": "500ms"},
	})})
	c.WaitStatus(serveBy, "five gateways that ended", func(v harness.View) error {
		if !v.Serving && (v.Reason == "" || v.Detail == "") {
			t.Errorf("not serving, and no reason: %+v", v)
		}
		if n := len(events(t, c, 0, "gateway-exited")); n < 5 {
			return fmt.Errorf("%d have ended", n)
		}
		return nil
	})
	if strings.Contains(c.Logs(), "address already in use") {
		t.Error("a gateway was started while the port was held")
	}
	for _, e := range events(t, c, 0, "gateway-exited") {
		if e.Code != 0 {
			t.Errorf("a gateway did not get as far as handing over: %+v", e)
		}
	}
	c.MustCtl("stop")
	c.SetMisbehave(nil)
	want(t, "start", c.Ctl("start"), 0, "proven")
	checkOnlyGateway(t, c, c.WaitServing(serveBy))
}

// checkOnlyGateway fails the test if another process of the gateway's user stays. Workers
// come and go.
func checkOnlyGateway(t *testing.T, c *harness.Container, r status.Record) {
	t.Helper()
	harness.Eventually(t, 5*time.Second, "the gateway alone", func() error {
		for _, p := range c.Processes() {
			if c.OfGateway(p) && p.PID != r.Gateway.PID {
				return fmt.Errorf("another process of the gateway's user: %+v", p)
			}
		}
		return nil
	})
}

// portTaken checks that no gateway is launched while another process has the port,
// and that one serves as soon as the port is free.
func portTaken(t *testing.T, user string, uid uint32) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(serveBy)
	c.MustCtl("stop")
	c.ExecDetached(user, "demotools", "hold-port", listenAddr)
	holder := 0
	harness.Eventually(t, 5*time.Second, "the port to be taken", func() error {
		if r := c.Exec("sandbox", "demotools", "connect", listenAddr); r.Code != 0 {
			return errors.New(r.Stderr)
		}
		return nil
	})
	for _, p := range c.Processes() {
		if p.UID == int(uid) && p.Comm == "demotools" {
			holder = p.PID
		}
	}
	starts := len(events(t, c, 1, "gateway-started"))
	for _, verb := range []string{"start", "recover", "restart"} {
		want(t, verb, c.Ctl(verb), 4, "listener-foreign")
	}
	v := c.View()
	if r := v.Record; v.Serving || v.Reason != "listener-foreign" || r.State != status.Backoff || r.Crashes != 0 {
		t.Errorf("%s: %s, %s, %d crashes", v.Reason, v.Detail, r.State, r.Crashes)
	}
	if f := v.Record.Proof.Foreign; len(f) != 1 || f[0].Addr != listenAddr || f[0].UID != uid {
		t.Errorf("sockets in the way: %+v", f)
	}
	want(t, "status", c.Ctl("status", "-v").Unwrapped(), 4, "listener-foreign", listenAddr, fmt.Sprintf("uid %d", uid))
	want(t, "health", c.Ctl("health"), 4, "listener-foreign")
	// It tries by itself, without a launch and without a counted failure, and logs that
	// once.
	said, tries, until := len(events(t, c, 1, "start-failed")), 0, time.Time{}
	c.WaitStatus(serveBy, "two more tries", func(v harness.View) error {
		if b := v.Record.Backoff; b != nil && !b.Until.Equal(until) {
			tries, until = tries+1, b.Until
		}
		if tries < 3 { // the first was before
			return fmt.Errorf("%d tries", tries)
		}
		return nil
	})
	if n := len(events(t, c, 0, "start-failed")); n != said {
		t.Errorf("the same failure is in the log %d more times", n-said)
	}
	if n := len(events(t, c, 0, "gateway-started")); n != starts {
		t.Errorf("%d gateways were launched into a port that was taken", n-starts)
	}
	signal(c, holder, "KILL")
	now := c.WaitServing(serveBy)
	checkProven(t, now)
	if now.Crashes != 0 || len(now.Proof.Foreign) != 0 {
		t.Errorf("%d crashes, in the way: %+v", now.Crashes, now.Proof.Foreign)
	}
}
