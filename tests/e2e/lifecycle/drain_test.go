// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// helperAddr is where the sidecar of these tests listens.
const helperAddr = "127.0.0.1:19000"

// startDrainer starts a container with a gateway that drains, and a helper beside it.
func startDrainer(t *testing.T, m object, grace string) *harness.Container {
	t.Helper()
	c := harness.Start(t, harness.Options{Misbehave: m, Config: object{
		"gateway":  object{"stop": object{"grace": grace}},
		"sidecars": []any{object{"name": "helper", "command": []string{"/usr/local/bin/demotools", "hold-port", "-retry", "10", helperAddr}}},
	}})
	c.WaitServing(serveBy)
	waitHelper(c, 0)
	return c
}

// waitHelper waits until the sidecar runs as another process than old. It returns the
// new pid.
func waitHelper(c *harness.Container, old int) int {
	r := c.WaitStatus(serveBy, "the helper", func(v harness.View) error {
		if s := v.Record.Sidecars; len(s) != 1 || s[0].State != "running" || s[0].PID == old {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	return r.Sidecars[0].PID
}

// ctl runs gatewayctl in the background.
func ctl(c *harness.Container, args ...string) <-chan harness.Result {
	done := make(chan harness.Result, 1)
	go func() { done <- c.Ctl(args...) }()
	return done
}

// waitDraining waits until the old gateway is being stopped.
func waitDraining(c *harness.Container) status.Record {
	return c.WaitStatus(serveBy, "the drain", func(v harness.View) error {
		if r := v.Record; r.State != status.Stopping || r.Request == nil || r.Request.Until == nil {
			return fmt.Errorf("%s, %+v", r.State, r.Request)
		}
		return nil
	})
}

// checkDrains checks that there were so many drains, and that none got a second signal.
func checkDrains(t *testing.T, c *harness.Container, want int) {
	t.Helper()
	log := c.Logs()
	if n := strings.Count(log, "demogateway: draining for "); n != want || strings.Contains(log, "ignoring another signal") {
		t.Errorf("%d drains, want %d, or one was told twice:\n%s", n, want, log)
	}
}

// A restart in the middle of an agent's run killed the run. A drain must also keep
// the helper that the run needs.
func TestDrain(t *testing.T) {
	t.Run("to-its-end", drainToItsEnd)
	t.Run("too-long", drainTooLong)
	t.Run("stop", drainStopped)
	t.Run("container-stops", drainEnded)
	t.Run("without-drain", restartWithoutDrain)
}

func drainToItsEnd(t *testing.T) {
	t.Parallel()
	c := startDrainer(t, object{"drain": "5s", "drain_needs": helperAddr}, "7s")
	old, beside := c.Status().Gateway, waitHelper(c, 0)
	c.SetMisbehave(nil)
	first := ctl(c, "restart", "--drain", "60s")
	r := waitDraining(c)
	if left := time.Until(*r.Request.Until); left < 50*time.Second || left > time.Minute || r.Request.Stage != "stopping" {
		t.Errorf("it has %v, %+v", left, r.Request)
	}
	if r.Sidecars[0].PID != beside || r.Sidecars[0].State != "running" {
		t.Errorf("the helper is %+v", r.Sidecars)
	}
	if h, ready := c.HTTP("GET", "/health", "", ""), c.HTTP("GET", "/readyz", "", ""); h.Code != 200 || ready.Code != 503 {
		t.Errorf("draining: /health %d %v, /readyz %d %v", h.Code, h.Err, ready.Code, ready.Err)
	}
	want(t, "status", c.Ctl("status").Unwrapped(), 4, "restart (", "the old gateway is killed in ")
	second := ctl(c, "restart")
	c.WaitStatus(serveBy, "the second restart in the queue", func(v harness.View) error {
		if v.Record.State == status.Stopping && v.Record.Queued != 1 {
			return fmt.Errorf("%d wait", v.Record.Queued)
		}
		return nil
	})
	result := <-first
	want(t, "restart --drain", result, 0, "restarted: pid", fmt.Sprintf("restart: draining: pid %d ends by itself within 1m00s", old.PID))
	if strings.Contains(result.Stderr, "\x1b") || strings.Count(result.Stderr, "\n") != 1 {
		t.Errorf("not one line: %q", result.Stderr)
	}
	want(t, "the second restart", <-second, 0, "restarted: pid")
	ends := events(t, c, 2, "gateway-exited")
	if len(ends) != 2 || ends[0].PID != old.PID || ends[0].Code != 0 {
		t.Errorf("ends: %+v", ends)
	}
	if now := waitHelper(c, beside); now == beside {
		t.Error("the helper was not replaced")
	}
	checkDrains(t, c, 1)
	checkProven(t, c.WaitServing(serveBy))
}

// drainTooLong checks that a gateway that drains too long is killed.
func drainTooLong(t *testing.T) {
	t.Parallel()
	c := startDrainer(t, object{"drain": never}, "7s")
	old := c.Status().Gateway
	c.SetMisbehave(nil)
	want(t, "restart --drain", c.Ctl("restart", "--drain", "2s"), 0, "restarted: pid")
	if e := c.Status().LastExit; e == nil || e.PID != old.PID || e.Signal != 9 || !e.Requested || e.Failure {
		t.Errorf("last exit %+v", e)
	}
	checkDrains(t, c, 1)
}

// drainStopped checks that a stop does not wait for a drain of an hour.
func drainStopped(t *testing.T) {
	t.Parallel()
	c := startDrainer(t, object{"drain": never}, "500ms")
	restart := ctl(c, "restart", "--drain", "1h", "--rotate-token")
	generation := waitDraining(c).Token.Generation
	want(t, "stop", c.Ctl("stop"), 0, "stopped: pid")
	want(t, "restart --drain", <-restart, 1, "superseded")
	r := c.WaitStatus(serveBy, "the helper to end too", func(v harness.View) error {
		if s := v.Record.Sidecars; s[0].PID != 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if r.State != status.Stopped || r.Token.Generation != generation {
		t.Errorf("%s, token %d, was %d", r.State, r.Token.Generation, generation)
	}
	checkDrains(t, c, 1)
	c.SetMisbehave(nil)
	want(t, "start", c.Ctl("start"), 0, "started: pid")
	waitHelper(c, 0)
}

// drainEnded checks that docker stop does not wait for a drain. The engine gives only
// ten seconds.
func drainEnded(t *testing.T) {
	t.Parallel()
	c := startDrainer(t, object{"drain": never}, "1s")
	restart := ctl(c, "restart", "--drain", "1h")
	waitDraining(c)
	if took := c.Stop(); took > testenv.AtMost(t, 8*time.Second) {
		t.Errorf("docker stop took %v", took)
	}
	if code := c.WaitExit(serveBy); code != 137 {
		t.Errorf("exit code %d, want 137: the gateway had to be killed", code)
	}
	if r := <-restart; r.Code == 0 {
		t.Errorf("the restart: %v", r)
	}
	checkDrains(t, c, 1)
}

// restartWithoutDrain checks that a plain restart stops the helper first, and that the
// gateway has its grace.
func restartWithoutDrain(t *testing.T) {
	t.Parallel()
	c := startDrainer(t, object{"drain": "2s", "drain_needs": helperAddr}, "7s")
	c.SetMisbehave(nil)
	want(t, "restart", c.Ctl("restart"), 0, "restarted: pid")
	if e := c.Status().LastExit; e == nil || e.Code != 9 || !e.Requested {
		t.Errorf("last exit %+v: the helper was still there", e)
	}
}
