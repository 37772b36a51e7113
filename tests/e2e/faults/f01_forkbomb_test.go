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

// countProcesses returns the number of live processes of a uid.
func countProcesses(c *harness.Container, uid int) int {
	n := 0
	for _, p := range c.Processes() {
		if p.UID == uid && !strings.HasPrefix(p.State, "Z") {
			n++
		}
	}
	return n
}

// Scenario F01. During a fork bomb of the agent at the pids limit PID 1
// lives. A gateway that was killed meanwhile is back within 5 s after it.
//
// An agent that forked until the limit, by mistake or not, took down inits that need
// one more thread or process to react, and the gateway with them.
func TestForkBombNeverEndsInit(t *testing.T) {
	for name, limit := range map[string]string{"readme-limit": "512", "least-limit": "64"} {
		t.Run(name, func(t *testing.T) {
			c := harness.Start(t, harness.Options{Extra: []string{"--pids-limit", limit}})
			before := c.WaitServing(20 * time.Second)
			gateway, init := c.GatewayHostPID(), c.HostPID()

			c.ExecDetached("sandbox", "demotools", "forkbomb", "8")
			harness.Eventually(t, 5*time.Second, "a full pids limit", func() error {
				if n := countProcesses(c, harness.SandboxUID); 2*n < atoi(t, limit) {
					return fmt.Errorf("%d processes of the agent's", n)
				}
				return nil
			})
			if err := unix.Kill(gateway, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			// While the bomb lasts the test only checks that PID 1 lives. There may
			// be no pid left for a docker exec.
			harness.Eventually(t, 20*time.Second, "the end of the bomb", func() error {
				if !c.Running() || c.HostPID() != init {
					t.Fatalf("PID 1 is gone\n%s", c.Logs())
				}
				if n := countProcesses(c, harness.SandboxUID); n > 0 {
					return fmt.Errorf("%d processes of the agent's", n)
				}
				return nil
			})
			after := c.WaitNewGateway(before.Gateway.Process, 5*time.Second)
			if after.Init != before.Init {
				t.Errorf("PID 1 was %+v, is %+v", before.Init, after.Init)
			}
			c.MustCtl("restart")
			if code := stopCode(c); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// Scenario F01, from the start. The bomb runs before the gateway does, so PID 1 does
// its first launch, proof and sweep under the bomb.
func TestGatewayStartsUnderForkBomb(t *testing.T) {
	for name, limit := range map[string]string{"readme-limit": "512", "least-limit": "64"} {
		t.Run(name, func(t *testing.T) {
			c := harness.Start(t, harness.Options{
				Extra:   []string{"--pids-limit", limit},
				Config:  map[string]any{"command_start": "immediate"},
				Command: []string{"demotools", "forkbomb", "8", "600"},
				// The gateway exits, so there is a launch under the bomb in any case.
				Misbehave: map[string]any{"start_exit": 1},
			})
			init := c.HostPID()
			harness.Eventually(t, 5*time.Second, "a full pids limit", func() error {
				n := countProcesses(c, harness.SandboxUID)
				if 2*n < atoi(t, limit) && !strings.Contains(c.Logs(), `"event":"evicted"`) { // PID 1 may have ended the bomb before we look
					return fmt.Errorf("%d processes of the agent's", n)
				}
				return nil
			})
			c.SetMisbehave(nil)
			harness.Eventually(t, 20*time.Second, "the end of the bomb", func() error {
				if !c.Running() || c.HostPID() != init {
					t.Fatalf("PID 1 is gone\n%s", c.Logs())
				}
				if n := countProcesses(c, harness.SandboxUID); n > 1 {
					return fmt.Errorf("%d processes of the agent's", n)
				}
				return nil
			})
			c.WaitServing(5 * time.Second)
			c.MustCtl("restart")
		})
	}
}

// Scenario F01, requests. Requests under the bomb have a definite answer. After it
// they work.
func TestRequestsUnderForkBombAreAnswered(t *testing.T) {
	c := harness.Start(t, harness.Options{Extra: []string{"--pids-limit", "128"}})
	before := c.WaitServing(20 * time.Second)
	c.ExecDetached("sandbox", "demotools", "forkbomb", "5")
	harness.Eventually(t, 5*time.Second, "a full pids limit", func() error {
		if n := countProcesses(c, harness.SandboxUID); n < 64 {
			return fmt.Errorf("%d processes of the agent's", n)
		}
		return nil
	})
	// The engine may fail to start gatewayctl at all, with 126 and its own message.
	// Still PID 1 must live, and a gateway must serve in the end.
	for countProcesses(c, harness.SandboxUID) > 0 {
		r := c.Ctl("restart", "--timeout", "20s")
		t.Logf("restart under the bomb: %d %s", r.Code, firstLine(r.Stdout+r.Stderr))
	}
	harness.Eventually(t, 10*time.Second, "a gateway", func() error {
		v, err := c.TryView()
		if err == nil && !v.Serving {
			err = errors.New(v.Reason + ": " + v.Detail)
		}
		return err
	})
	c.MustCtl("restart")
	if after := c.Status(); after.Init != before.Init {
		t.Errorf("PID 1 was %+v, is %+v", before.Init, after.Init)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

func stopCode(c *harness.Container) int {
	c.Stop()
	return c.WaitExit(time.Second)
}

func atoi(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
