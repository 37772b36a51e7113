// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario L16. In a container that has just started, gatewayctl restart
// waits for the supervisor within its deadline.
//
// A restart right after the container's start failed, because the supervisor did
// not run yet (#8726). The engine's "run" returns while PID 1 still executes the
// container runtime.
func TestRequestsWaitForStartingSupervisor(t *testing.T) {
	t.Parallel()
	slow := map[string]any{"listen_after": "1s"}
	for name, try := range map[string]struct {
		times     int
		misbehave map[string]any
		verbs     [][]string
	}{
		"restart":              {12, nil, [][]string{{"restart"}}},
		"restart-slow-gateway": {3, slow, [][]string{{"restart"}}},
		"rotate":               {3, nil, [][]string{{"restart", "--rotate-token"}}},
		"recover":              {3, nil, [][]string{{"recover"}}},
		"start":                {3, slow, [][]string{{"start"}}},
		"wait":                 {3, nil, [][]string{{"wait"}}},
		"stop-then-start":      {3, nil, [][]string{{"stop"}, {"start"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range try.times {
				c := harness.Start(t, harness.Options{Misbehave: try.misbehave})
				for _, verb := range try.verbs {
					if r := wait(t, async(c, verb...), 2*time.Minute); r.Code != 0 {
						t.Fatalf("gatewayctl %v in a container that has just started: %v", verb, r)
					}
				}
				// Success means proven, so it serves without a further wait.
				if v := c.View(); !v.Serving {
					t.Fatalf("not serving after %v: %s: %s", try.verbs, v.Reason, v.Detail)
				}
			}
		})
	}
}

// Scenario L16, the second start. A container that starts again has times and files
// of its first run. The request waits all the same.
func TestRequestWaitsAtSecondStart(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(boot)
	for range 5 {
		c.Restart()
		checkRestarted(t, wait(t, async(c, "restart"), 2*time.Minute))
	}
}
