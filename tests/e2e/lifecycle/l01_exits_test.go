// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario L01. If an operator signals the gateway and it exits with 0, it is
// started again, and the container goes on.
//
// A gateway exits with 0 after a signal. An older supervisor took that for
// "finished" and ended the container.
func TestSignaledGatewayIsStartedAgain(t *testing.T) {
	for _, name := range []string{"TERM", "INT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{})
			old := c.WaitServing(serveBy)
			before := life(c)
			for round := 1; round <= 3; round++ {
				signal(c, old.Gateway.PID, name)
				now := c.WaitNewGateway(old.Gateway.Process, serveBy)
				checkProven(t, now)
				if now.Crashes != 0 || now.Restarts != 0 {
					t.Errorf("round %d: %d crashes, %d restarts", round, now.Crashes, now.Restarts)
				}
				if e := now.LastExit; e == nil || e.PID != old.Gateway.PID || e.Code != 0 || e.Requested || e.Failure || !e.Proven {
					t.Errorf("round %d: last exit %+v", round, e)
				}
				old = now
			}
			checkSameLife(t, c, before)
		})
	}
}

// Scenario L02. A requested restart of a gateway that exits with 0 on SIGTERM
// ends with a proven replacement.
//
// The supervisor took the exit that it had requested for the end of the service, and
// the request never ended.
func TestRestartEndsWithProvenReplacement(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	old := c.WaitServing(serveBy)
	before := life(c)
	r := c.Ctl("restart")
	now := c.Status()
	want(t, "restart", r, 0, fmt.Sprintf("pid %d → %d, proven", old.Gateway.PID, now.Gateway.PID))
	if now.State != status.Running || now.Gateway.Process == old.Gateway.Process {
		t.Errorf("after the answer: %s, gateway %+v, was %+v", now.State, now.Gateway, old.Gateway)
	}
	checkProven(t, now)
	if e := now.LastExit; e == nil || e.PID != old.Gateway.PID || e.Code != 0 || !e.Requested || e.Failure {
		t.Errorf("last exit %+v", e)
	}
	result := fmt.Sprintf("complete ok %d %d", old.Gateway.PID, now.Gateway.PID)
	if l := now.LastRequest; l == nil || l.Action != "restart" || l.Result != result {
		t.Errorf("last request %+v, want %q", l, result)
	}
	if answer := c.HTTP("GET", "/api/whoami", c.Token(), ""); answer.Code != 200 {
		t.Errorf("the new gateway answers %d %v", answer.Code, answer.Err)
	}
	checkSameLife(t, c, before)
}

// Scenario L03. A requested restart works if the gateway exits with 1 on
// SIGTERM. Exit code 75 is planned and does not count as a failure.
//
// A gateway that exits with 1 or 75 on SIGTERM was put under quarantine for restarts
// that its operator had requested.
func TestPlannedExitsAreNoFailures(t *testing.T) {
	for name, m := range map[string]object{
		"exit-1":       {"exit_code": 1},
		"exit-75":      {"exit_code": 75},
		"exit-78-hold": {"exit_code": 78}, // a hold code: backoff_max if it were a crash
		"ignores-term": {"ignore_term": true},
	} {
		t.Run("requested-"+name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Misbehave: m, Config: gatewayConfig(object{
				"stop":    object{"grace": "500ms"},
				"restart": object{"backoff_min": never, "backoff_max": never}, // any counted failure would show
			})})
			old := c.WaitServing(serveBy)
			for range 2 {
				c.MustCtl("restart")
				now := c.WaitNewGateway(old.Gateway.Process, serveBy)
				if e := now.LastExit; now.Crashes != 0 || now.Backoff != nil || e == nil || !e.Requested || e.Failure {
					t.Errorf("%d crashes, backoff %+v, last exit %+v", now.Crashes, now.Backoff, e)
				}
				old = now
			}
		})
	}
	for name, exit := range map[string]struct {
		code    int
		failure bool
	}{
		"75-is-planned": {75, false},
		"1-is-a-crash":  {1, true},
	} {
		t.Run("unrequested-"+name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{})
			old := c.WaitServing(serveBy)
			c.Misbehave(object{"exit_after": "0s", "exit_code": exit.code})
			now := c.WaitNewGateway(old.Gateway.Process, serveBy)
			if e := now.LastExit; e == nil || e.Code != exit.code || e.Requested || e.Failure != exit.failure {
				t.Errorf("last exit %+v", e)
			}
			if (now.Crashes == 1) != exit.failure || now.Crashes > 1 {
				t.Errorf("%d crashes", now.Crashes)
			}
		})
	}
}

// Scenario L04. After SIGKILL of the gateway a new one serves within 10 s, in
// the same container, without a command.
//
// A gateway that was killed stayed down until a user recreated the container.
func TestKilledGatewayServesAgainByItself(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	old := c.WaitServing(serveBy)
	before := life(c)
	signal(c, old.Gateway.PID, "KILL")
	now := c.WaitNewGateway(old.Gateway.Process, 10*time.Second)
	checkProven(t, now)
	if e := now.LastExit; e == nil || e.Signal != 9 || e.Code != 137 || e.Requested || !e.Failure || now.Crashes != 1 {
		t.Errorf("last exit %+v, %d crashes", e, now.Crashes)
	}
	if answer := c.HTTP("GET", "/api/whoami", c.Token(), ""); answer.Code != 200 {
		t.Errorf("the new gateway answers %d %v", answer.Code, answer.Err)
	}
	checkSameLife(t, c, before)
}
