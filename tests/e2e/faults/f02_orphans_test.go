// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// countZombies returns the number of zombies of a uid.
func countZombies(c *harness.Container, uid int) int {
	n := 0
	for _, p := range c.Processes() {
		if p.UID == uid && strings.HasPrefix(p.State, "Z") {
			n++
		}
	}
	return n
}

// Scenario F02. Of 20,000 orphans none is left after 2 s, and status and
// restart work meanwhile. A child's death that coincides with 200 orphans' is
// not lost.
//
// One SIGCHLD may stand for many children. An init that reaps one child for each
// signal fills the pids limit with zombies, or misses the death of the gateway.
func TestEveryOrphanIsReaped(t *testing.T) {
	t.Run("20000-orphans", func(t *testing.T) {
		c := harness.Start(t, harness.Options{})
		before := c.WaitServing(20 * time.Second)
		done := make(chan harness.Result, 1)
		go func() { done <- c.Exec("sandbox", "demotools", "zombies", "20000") }()
		meanwhile := 0
		for orphaned := false; !orphaned; {
			select {
			case r := <-done:
				if r.Stdout != "orphaned 20000\n" {
					t.Fatal(r)
				}
				orphaned = true
			default:
				c.MustCtl("restart")
				if v := c.View(); !v.Serving {
					t.Errorf("not serving among orphans: %s: %s", v.Reason, v.Detail)
				}
				meanwhile++
			}
		}
		harness.Eventually(t, 2*time.Second, "no zombies", func() error {
			if n := countZombies(c, harness.SandboxUID); n > 0 {
				return fmt.Errorf("there are %d", n)
			}
			return nil
		})
		if meanwhile == 0 {
			t.Error("no restart was made while there were orphans")
		}
		if after := c.Status(); after.Restarts != meanwhile || after.Init != before.Init {
			t.Errorf("%d restarts in status, %d made", after.Restarts, meanwhile)
		}
	})

	// All of them end at the same moment as the gateway.
	t.Run("gateway-among-200", func(t *testing.T) {
		c := harness.Start(t, harness.Options{Config: map[string]any{"gateway": map[string]any{"restart": map[string]any{"backoff_max": "200ms"}}}})
		for range 5 {
			before := c.WaitServing(20 * time.Second)
			c.ExecDetached("sandbox", "demotools", "linger", "200", "600")
			harness.Eventually(t, 5*time.Second, "200 orphans", func() error {
				if n := countProcesses(c, harness.SandboxUID); n != 200 { // demotools has ended
					return fmt.Errorf("there are %d", n)
				}
				return nil
			})
			if err := killTogether(c, c.HostPIDOf(before.Gateway.PID)); err != nil {
				t.Fatal(err)
			}
			c.WaitNewGateway(before.Gateway.Process, 5*time.Second)
			harness.Eventually(t, 2*time.Second, "no zombies", func() error {
				if n := countZombies(c, harness.SandboxUID) + countZombies(c, harness.GatewayUID); n > 0 {
					return fmt.Errorf("there are %d", n)
				}
				return nil
			})
		}
	})
}

// killTogether kills the agent's orphans and the gateway while PID 1 is stopped.
// When it goes on, it gets one SIGCHLD for all of them.
func killTogether(c *harness.Container, gateway int) (err error) {
	init := c.HostPID()
	if err := unix.Kill(init, unix.SIGSTOP); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Kill(init, unix.SIGCONT)) }()
	killed := 0
	for _, p := range c.Processes() {
		if p.UID == harness.SandboxUID {
			if killed == 100 {
				err = unix.Kill(gateway, unix.SIGKILL)
			}
			err = errors.Join(err, unix.Kill(p.HostPID, unix.SIGKILL))
			killed++
		}
	}
	if killed < 200 {
		err = errors.Join(err, fmt.Errorf("only %d orphans", killed))
	}
	return err
}
