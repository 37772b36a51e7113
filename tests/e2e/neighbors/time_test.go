// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"fmt"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"

	"golang.org/x/sys/unix"
)

// briskHealth returns a configuration that finds a hanging gateway within two seconds.
func briskHealth() map[string]any {
	return map[string]any{"gateway": map[string]any{
		"health": map[string]any{"interval": "200ms", "timeout": "500ms"}}}
}

// Scenario F10. Clock steps change nothing. A request completes over a docker
// pause of 3 s. A stopped (SIGSTOP) gateway is replaced.
//
// If the clock or a process had stopped for a while, that was taken for a crash, or not
// noticed at all.
//
// This test does not step the wall clock, because the whole host has only one.
func TestPauseIsNeverTakenForCrash(t *testing.T) {
	t.Parallel()

	t.Run("request-over-a-pause", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{Config: briskHealth()})
		old := c.WaitServing(20 * time.Second)
		c.SetMisbehave(map[string]any{"listen_after": "2s"})
		done := make(chan harness.Result, 1)
		go func() { done <- c.Ctl("restart") }()
		c.WaitStatus(10*time.Second, "a restart that is being proven", func(v harness.View) error {
			if q := v.Record.Request; q == nil || q.Stage != "proving" {
				return fmt.Errorf("request %+v", q)
			}
			return nil
		})
		c.Pause()
		harness.Never(t, 3*time.Second, "an answer from a paused container", func() error {
			if len(done) > 0 {
				return fmt.Errorf("%v", <-done)
			}
			return nil
		})
		c.Unpause()
		if r := <-done; r.Code != 0 {
			t.Errorf("the restart over a pause of 3 s: %v", r)
		}
		if now := c.WaitNewGateway(old.Gateway.Process, 10*time.Second); now.Crashes != 0 || now.Restarts != 1 {
			t.Errorf("crashes %d, restarts %d", now.Crashes, now.Restarts)
		}
	})

	t.Run("pause-of-a-healthy-container", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{Config: briskHealth()})
		old := c.WaitServing(20 * time.Second)
		for range 3 {
			c.Pause()
			// Longer than a check's own deadline and four intervals.
			harness.Never(t, 2*time.Second, "a paused container", func() error {
				if !c.Running() {
					return fmt.Errorf("it has ended")
				}
				return nil
			})
			c.Unpause()
			now := c.WaitServing(10 * time.Second)
			if now.Gateway.Process != old.Gateway.Process || now.Crashes != 0 {
				t.Fatalf("the pause cost a healthy gateway: %+v, was %+v", now.Gateway, old.Gateway)
			}
		}
	})

	t.Run("stopped-gateway", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{Config: briskHealth()})
		old := c.WaitServing(20 * time.Second)
		if err := unix.Kill(c.GatewayHostPID(), unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		now := c.WaitNewGateway(old.Gateway.Process, 30*time.Second)
		if now.Crashes != 1 {
			t.Errorf("crashes %d: a gateway that hangs is one", now.Crashes)
		}
		for _, p := range c.Processes() {
			if p.PID == old.Gateway.PID && p.UID == harness.GatewayUID {
				t.Errorf("the stopped gateway is still there: %+v", p)
			}
		}
	})

	t.Run("stopped-for-a-moment", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{Config: map[string]any{"gateway": map[string]any{
			"health": map[string]any{"interval": "2s", "timeout": "3s"}}}})
		old := c.WaitServing(20 * time.Second)
		pid := c.GatewayHostPID()
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		c.WaitStatus(20*time.Second, "a check that failed", func(v harness.View) error {
			if v.Record.Health.Failures == 0 {
				return fmt.Errorf("health %+v", v.Record.Health)
			}
			return nil
		})
		if err := unix.Kill(pid, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if now := c.WaitServing(15 * time.Second); now.Gateway.Process != old.Gateway.Process || now.Crashes != 0 {
			t.Errorf("one failed check cost a gateway that went on: %+v", now.Gateway)
		}
	})
}
