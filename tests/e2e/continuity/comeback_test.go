// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario L13. After docker restart, after docker stop and docker start, and
// after SIGKILL of PID 1 by the engine the gateway serves again without a
// command.
//
// After docker restart, stop and start, or a SIGKILL of PID 1 the gateway
// stayed down until a user ran a command (#6635).
func TestGatewayServesAfterContainerRestart(t *testing.T) {
	t.Parallel()
	kill := func(t *testing.T, c *harness.Container) {
		if err := syscall.Kill(c.HostPID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for name, try := range map[string]struct {
		extra   []string
		command []string
		again   func(t *testing.T, c *harness.Container)
	}{
		"restart": {nil, nil, func(_ *testing.T, c *harness.Container) { c.Restart() }},
		"stop-and-start": {nil, nil, func(_ *testing.T, c *harness.Container) {
			c.Stop()
			c.StartAgain()
		}},
		"kill-and-start": {nil, nil, func(t *testing.T, c *harness.Container) {
			c.Kill("KILL")
			if code := c.WaitExit(10 * time.Second); code != 137 {
				t.Errorf("exit code %d after SIGKILL", code)
			}
			c.StartAgain()
		}},
		"sigkill-with-restart-policy":      {[]string{"--restart", "always"}, nil, kill},
		"sigkill-with-command":             {[]string{"--restart", "on-failure"}, []string{"demotools", "sleep", "3600"}, kill},
		"sigkill-without-read-only-rootfs": {[]string{"--restart", "always", "--read-only=false"}, nil, kill},
		// A stop does not survive a restart of the container.
		"restart-of-a-stopped-gateway": {nil, nil, func(_ *testing.T, c *harness.Container) {
			c.MustCtl("stop")
			c.Restart()
		}},
		"kill-in-the-middle-of-a-restart": {nil, nil, func(t *testing.T, c *harness.Container) {
			c.Misbehave(map[string]any{"ignore_term": true}) // the stop takes its whole grace
			done := async(c, "restart")
			c.WaitState("stopping", 10*time.Second)
			c.Kill("KILL")
			if r := wait(t, done, boot); r.Code == 0 {
				t.Errorf("a restart that was killed reports success: %v", r)
			}
			c.StartAgain()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Extra: try.extra, Command: try.command})
			for range 3 {
				c.WaitServing(boot)
				token, pid1 := c.Token(), c.HostPID()
				try.again(t, c)
				harness.Eventually(t, boot, "another PID 1", func() error {
					if now := pidOf(c); now == 0 || now == pid1 {
						return fmt.Errorf("PID 1 is %d on the host and was %d", now, pid1)
					}
					return nil
				})
				record := c.WaitServing(boot)
				if fresh := c.Token(); fresh == token {
					t.Error("the token is that of the former life")
				}
				if record.Crashes != 0 || record.LastExit != nil || record.Token.Generation != 1 {
					t.Errorf("the record holds another life: crashes %d, last exit %+v, token %+v", record.Crashes, record.LastExit, record.Token)
				}
				if err := answers(c); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// pidOf returns PID 1's pid on the host, or 0 while the container is not running.
func pidOf(c *harness.Container) int {
	var all struct{ State struct{ Pid int } }
	c.Inspect(&all)
	return all.State.Pid
}

// answers checks, without our programs, that the gateway accepts the token in force and
// refuses requests without it.
func answers(c *harness.Container) error {
	token := c.Token()
	for given, want := range map[string]int{"": 401, token: 200} {
		if r := c.HTTP("GET", "/api/whoami", given, ""); r.Code != want {
			return fmt.Errorf("the gateway answers %d (%v), want %d (token given: %t)", r.Code, r.Err, want, given != "")
		}
	}
	return nil
}
