// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario P04. Health is right after a restart of the supervisor, a
// rewritten title, and a requested restart.
//
// A health check reported a gateway that had exited as healthy. Another reported a
// gateway as unhealthy for ever after a successful restart.
func TestHealthIsRightAfterRestarts(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]func(t *testing.T, c *harness.Container){
		"supervisor-restart": func(t *testing.T, c *harness.Container) { c.Restart() },
		"supervisor-killed": func(t *testing.T, c *harness.Container) {
			c.Kill("9")
			c.WaitExit(10 * time.Second)
			c.StartAgain()
		},
		"title-rewrite": func(t *testing.T, c *harness.Container) {
			c.Misbehave(map[string]any{"comm": ") S 1 1 (", "cmdline": "node"})
		},
		"restart-by-request": func(t *testing.T, c *harness.Container) { c.MustCtl("restart") },
		"crash": func(t *testing.T, c *harness.Container) {
			c.Tools("", "sigsend", fmt.Sprint(c.Status().Gateway.PID), "KILL")
		},
		"stop-and-start": func(t *testing.T, c *harness.Container) {
			c.MustCtl("stop")
			if r := c.Ctl("health"); r.Code != 4 {
				t.Errorf("health of a stopped gateway: %v", r)
			}
			c.MustCtl("start")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Config: map[string]any{"gateway": map[string]any{
				"health": map[string]any{"interval": "300ms", "timeout": "1s"}}}})
			c.WaitServing(20 * time.Second)
			healthy(t, c)
			event(t, c)
			healthy(t, c)
			// health must also be able to fail. A gateway that accepts and never
			// answers has a port and a process that look healthy from outside.
			c.Misbehave(map[string]any{"accept": "hang"})
			harness.Eventually(t, 10*time.Second, "health to say that it hangs", func() error {
				if r := c.Ctl("health"); r.Code != 4 {
					return fmt.Errorf("%v", r)
				}
				return nil
			})
			// It is replaced in the end, and then health succeeds.
			healthy(t, c)
		})
	}
}

// healthy waits until health succeeds, and compares that with the gateway's own
// answer to another client.
func healthy(t *testing.T, c *harness.Container) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "health", func() error {
		if r := c.Ctl("health"); r.Code != 0 {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	if r := c.HTTP("GET", "/health", "", ""); r.Code != 200 {
		t.Errorf("health says that it serves, and it answers %+v", r)
	}
}
