// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// quick returns a configuration with ten health checks a second.
func quick(keys object) object {
	all := object{"health": object{"interval": "100ms", "timeout": "1s"}}
	for key, value := range keys {
		all[key] = value
	}
	return gatewayConfig(all)
}

// Scenario L08. A gateway that serves for 20 s and then stops answering is
// detected and restarted. A restart that saw one 200 and then no answer does
// not report success.
//
// A gateway that stopped answering while its process lived was reported as healthy
// for hours. A restart that saw one 200 and then nothing was reported as a success.
func TestUnresponsiveGatewayIsRestarted(t *testing.T) {
	t.Run("deaf-after-20-seconds", unresponsiveLater)
	for name, m := range map[string]object{
		"hang": {"after": 1, "accept": "hang"},
		"drop": {"after": 1, "accept": "drop"},
		"500":  {"after": 1, "status": 500},
		// The gateway answers twice: the health check, and the request without a token.
		"hang-at-the-token": {"after": 2, "accept": "hang"},
	} {
		t.Run("one-200-then-"+name, func(t *testing.T) { oneAnswer(t, m) })
	}
}

// unresponsiveLater checks that an unresponsive gateway is detected and replaced, and
// that this does not look like an operator's restart.
func unresponsiveLater(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Misbehave: object{"deaf_after": "20s"}, Config: quick(nil)})
	old := c.WaitServing(serveBy)
	before := life(c)
	c.SetMisbehave(nil)
	now := c.WaitNewGateway(old.Gateway.Process, 60*time.Second)
	checkProven(t, now)
	if e := now.LastExit; now.Crashes != 1 || now.Restarts != 0 || e == nil || e.PID != old.Gateway.PID {
		t.Errorf("%d crashes, %d restarts, last exit %+v", now.Crashes, now.Restarts, e)
	}
	found := events(t, c, 5, "health", "gateway-unresponsive")
	if n := len(found); n < 5 || found[n-1].Event != "gateway-unresponsive" || found[n-2].Failures != 4 || found[n-2].Reason != "listener-missing" {
		t.Errorf("what led to it: %+v", found)
	}
	checkSameLife(t, c, before)
}

// oneAnswer checks that the request fails with the reason, and that the supervisor
// goes on until a gateway serves.
func oneAnswer(t *testing.T, m object) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: quick(object{"ready": object{"timeout": "5s"}})})
	old := c.WaitServing(serveBy)
	c.SetMisbehave(m)
	want(t, "restart", c.Ctl("restart"), 4, "health-timeout")
	v := c.View()
	if v.Serving || v.Reason != "health-timeout" || v.Record.State != status.Starting || v.Record.Restarts != 0 {
		t.Errorf("after the refusal: serving %t, %s, %s, %d restarts", v.Serving, v.Reason, v.Record.State, v.Record.Restarts)
	}
	want(t, "health", c.Ctl("health"), 4, "health-timeout")
	c.SetMisbehave(nil)
	want(t, "recover", c.Ctl("recover"), 0, "proven")
	now := c.WaitServing(0)
	checkProven(t, now)
	if now.Gateway.Process == old.Gateway.Process {
		t.Error("it is the first gateway")
	}
}

// notServing returns the ways in which a gateway can be alive and not serve.
func notServing() map[string]object {
	return map[string]object{
		"accept-then-hang": {"accept": "hang"},
		"accept-then-drop": {"accept": "drop"},
		"http-500":         {"status": 500},
		"http-503":         {"status": 503},
		"dripping-body":    {"answer": "drip"},
		"no-listener":      {"deaf_after": "0s"},
	}
}

// Scenario L09. A connection that hangs, a connection that is dropped, and
// HTTP 5xx each count as not serving. A gateway that never served is replaced
// after a longer bound.
//
// Only a process that had ended counted as a failure. A gateway that accepted and did
// not answer, or answered 502, was left as it was.
func TestFailedAnswersCountAsNotServing(t *testing.T) {
	for name, m := range notServing() {
		t.Run("served-then-"+name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Config: quick(object{"health": object{"interval": "100ms", "timeout": "300ms"}})})
			old := c.WaitServing(serveBy)
			c.Misbehave(m)
			now := c.WaitNewGateway(old.Gateway.Process, serveBy)
			checkProven(t, now)
			if now.Crashes != 1 || now.Restarts != 0 {
				t.Errorf("%d crashes, %d restarts", now.Crashes, now.Restarts)
			}
			failures := 0
			for _, e := range events(t, c, 5, "health", "gateway-unresponsive") {
				if e.Event == "gateway-unresponsive" {
					break // on a busy machine the next gateway may be slow, too
				}
				if failures++; e.Failures != failures || e.Reason != "health-timeout" && e.Reason != "listener-missing" {
					t.Errorf("failure %d: %+v", failures, e)
				}
			}
			if failures != 4 {
				t.Errorf("replaced after %d failures", failures)
			}
		})
	}
	for name, m := range notServing() {
		if name == "http-500" || name == "dripping-body" {
			continue // each takes four times ready.timeout, and the result is the same
		}
		t.Run("never-served-"+name, func(t *testing.T) { neverServed(t, m) })
	}
	t.Run("slow-but-in-time", slowStart)
}

// neverServed checks that a request fails at ready.timeout, and that the process has
// four times as long.
func neverServed(t *testing.T, m object) {
	t.Parallel()
	const ready = time.Second
	if _, ok := m["deaf_after"]; ok {
		m = object{"listen_after": never}
	}
	c := harness.Start(t, harness.Options{Misbehave: m, Config: quick(object{
		"ready": object{"timeout": ready.String()}, "health": object{"interval": "100ms", "timeout": "300ms"},
	})})
	harness.Eventually(t, serveBy, "ready.timeout", func() error {
		if len(events(t, c, 0, "not-ready-in-time")) == 0 {
			return errors.New("it has not passed")
		}
		return nil
	})
	first := events(t, c, 1, "gateway-started")
	c.SetMisbehave(nil) // the next one is good
	harness.Eventually(t, serveBy, "a gateway that serves", func() error {
		if v, err := c.TryView(); err != nil || !v.Serving {
			return errors.Join(err, fmt.Errorf("%s: %s", v.Reason, v.Detail))
		}
		return nil
	})
	story := events(t, c, 2, "not-ready-in-time", "gateway-unresponsive")
	if len(story) != 2 || len(first) != 1 || story[0].Event != "not-ready-in-time" || story[1].PID != first[0].PID {
		t.Fatalf("what led to it: %+v", story)
	}
	if r := story[0].Reason; r != "health-timeout" && r != "listener-missing" {
		t.Errorf("not ready in time because of %q", r)
	}
	starts := events(t, c, 2, "gateway-started")
	if len(starts) != 2 {
		t.Fatalf("%d starts: %+v", len(starts), starts)
	}
	if lived := startGap(starts[0], starts[1]); lived < 4*ready-tick {
		t.Errorf("given up %v after its start, ready.timeout is %v", lived, ready)
	}
	if r := c.Status(); r.Gateway.PID == first[0].PID || r.Crashes != 1 {
		t.Errorf("pid %d, was %d, %d crashes", r.Gateway.PID, first[0].PID, r.Crashes)
	}
}

// slowStart checks that a slow start is not a failed one. The request that waited
// fails, but the gateway lives and is proven when it is ready.
func slowStart(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: quick(object{"ready": object{"timeout": "5s"}})})
	c.WaitServing(serveBy)
	c.SetMisbehave(object{"ready_after": "10s"})
	want(t, "restart", c.Ctl("restart"), 4, "health-timeout")
	late := c.Status()
	if late.State != status.Starting || late.Gateway.PID == 0 {
		t.Fatalf("after ready.timeout: %s, pid %d", late.State, late.Gateway.PID)
	}
	now := c.WaitServing(serveBy)
	checkProven(t, now)
	if now.Gateway.Process != late.Gateway.Process || now.Crashes != 0 {
		t.Errorf("gateway %+v, was %+v, %d crashes", now.Gateway, late.Gateway, now.Crashes)
	}
}
