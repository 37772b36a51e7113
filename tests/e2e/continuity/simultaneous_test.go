// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// answer matches the line that gatewayctl prints when a restart was proven.
var answer = regexp.MustCompile(`^(restarted: pid (\d+) → (\d+)|started: pid (\d+)), proven(, with a new token)?\n$`)

// Scenario L20. Of two, and of fifty, simultaneous restarts each gets one
// definite answer, and there is one gateway at the end. None is refused as
// busy.
//
// Of two restarts at once one was refused as busy, and sometimes there were
// two gateways (#8262).
func TestEachSimultaneousRestartIsAnswered(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		n         int
		rotate    int // every rotate-th restart asks for a new token
		misbehave map[string]any
	}{
		"two":              {n: 2},
		"two-slow-to-end":  {n: 2, misbehave: map[string]any{"drain": "1s"}},
		"two-slow-to-come": {n: 2, misbehave: map[string]any{"listen_after": "1s"}},
		"two-with-helpers": {n: 2, misbehave: map[string]any{"helper": true, "hold_stdout": true, "zombies": 5}},
		"two-that-ignore":  {n: 2, misbehave: map[string]any{"ignore_term": true}},
		"fifty":            {n: 50},
		"fifty-mixed":      {n: 50, rotate: 5, misbehave: map[string]any{"drain": "100ms", "listen_after": "100ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			if try.n == 2 {
				t.Parallel() // fifty run without other tests beside them
			}
			c := harness.Start(t, harness.Options{Misbehave: try.misbehave,
				Config: map[string]any{"gateway": map[string]any{"stop": map[string]any{"grace": "2s"}}}})
			before := c.WaitServing(boot)
			w := watch(t, c)
			var all []<-chan harness.Result
			for i := range try.n {
				args := []string{"restart"}
				if try.rotate > 0 && i%try.rotate == 0 {
					args = append(args, "--rotate-token")
				}
				all = append(all, async(c, args...))
			}
			fresh := map[string]bool{}
			for i, done := range all {
				r := wait(t, done, 2*time.Minute)
				m := answer.FindStringSubmatch(r.Stdout)
				if r.Code != 0 || m == nil {
					t.Errorf("restart %d of %d: %v", i+1, try.n, r)
					continue
				}
				if rotates := try.rotate > 0 && i%try.rotate == 0; rotates != (m[5] != "") {
					t.Errorf("restart %d asked for a new token: %t; it says %q", i+1, rotates, r.Stdout)
				}
				fresh[m[3]+m[4]] = true
			}
			w.result(t)
			after := c.WaitServing(boot)
			if n := count(t, c, harness.GatewayUID, "demogateway"); try.misbehave["helper"] == nil && n != 1 {
				t.Errorf("%d gateways at the end: %v", n, c.Processes())
			}
			// Each answer names a gateway that a request started, so there are as
			// many restarts as pids in the answers.
			if after.Restarts != len(fresh) || len(fresh) > try.n {
				t.Errorf("%d restarts, %d pids in %d answers", after.Restarts, len(fresh), try.n)
			}
			if after.Gateway.Process == before.Gateway.Process || after.Queued != 0 || after.Request != nil {
				t.Errorf("at the end: %+v", after)
			}
			if after.Crashes != 0 || after.Refused != (status.Refused{}) {
				t.Errorf("crashes %d, refused %+v", after.Crashes, after.Refused)
			}
			if err := answers(c); err != nil {
				t.Error(err)
			}
		})
	}
}

// Scenario L20, a mix. Other verbs run beside restarts, and the gateway is killed
// meanwhile. No request is refused as busy, and each answer is one that the verb
// can have.
func TestMixedRequestsAreNeverBusy(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Misbehave: map[string]any{"drain": "50ms"}})
	c.WaitServing(boot)
	w := watch(t, c)
	verbs := []string{"restart", "recover", "start", "probe", "stop", "restart", "start", "recover", "stop", "start"}
	var all []<-chan harness.Result
	for range 2 {
		for _, verb := range verbs {
			all = append(all, async(c, verb))
		}
	}
	for i, done := range all {
		r := wait(t, done, 2*time.Minute)
		verb := verbs[i%len(verbs)]
		reason := failureReason(r.Stderr)
		ok := r.Code == 0
		switch verb {
		case "probe": // the gateway may be stopped, or about to be replaced
			ok = ok || reason == "not-running" || reason == "listener-missing" || reason == "exited" || reason == "superseded"
		case "restart", "recover", "start": // a stop preempts a start that is not proven yet
			ok = ok || reason == "superseded"
		}
		if !ok {
			t.Errorf("%s: %v", verb, r)
		}
	}
	c.MustCtl("restart") // if the stops came first, there was only one gateway
	c.WaitServing(boot)
	w.result(t)
	if n := count(t, c, harness.GatewayUID, "demogateway"); n != 1 {
		t.Errorf("%d gateways at the end: %v", n, c.Processes())
	}
}

// failureReason returns the WORD of "gatewayctl: cannot VERB: WORD: ...".
func failureReason(stderr string) string {
	_, rest, _ := strings.Cut(stderr, ": cannot ")
	_, rest, _ = strings.Cut(rest, ": ")
	word, _, _ := strings.Cut(rest, ":")
	return word
}

// Scenario L20, the watcher. It sees two gateways when docker exec under the
// gateway's user starts a second one, so the other tests can fail.
func TestWatcherSeesTwoGateways(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(boot)
	w := watch(t, c)
	go c.ExecFlags([]string{"-e", `DEMO_MISBEHAVE={"listen":"127.0.0.1:2345","token_mode":"none"}`}, "gateway", nil, "demogateway")
	harness.Eventually(t, boot, "a second gateway", func() error {
		if n := count(t, c, harness.GatewayUID, "demogateway"); n != 2 {
			return fmt.Errorf("%d gateways", n)
		}
		return nil
	})
	if looks := w.finish(); len(w.overlap) == 0 {
		t.Fatalf("%d looks did not see two gateways", looks)
	}
	checkRestarted(t, c.Ctl("restart")) // the sweep ends the guest too
	left := 1
	if harness.NonRoot(t) {
		left = 2 // it is no descendant of our gateway, so it could be the agent's
	}
	if n := count(t, c, harness.GatewayUID, "demogateway"); n != left {
		t.Errorf("%d gateways after a restart: %v", n, c.Processes())
	}
}
