// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// modes returns the options of the two ways to run a command.
func modes() map[string][]string {
	return map[string][]string{"gateway": nil, "no-gateway": {"--no-gateway"}}
}

// runToEnd runs a container to its end and returns its exit code.
func runToEnd(t *testing.T, o harness.Options) (*harness.Container, int) {
	t.Helper()
	c := harness.Start(t, o)
	return c, c.WaitExit(boot)
}

// Scenario L23. The exit code of a finished command is passed on, 128+n for a
// signal, and 126 or 127 for an error of execve(2).
//
// The exit code of the agent was lost, or that of another process was reported.
// Here are the engine's cases. tests/ns/command has every code, signal and error.
func TestCommandExitCodeIsPassedOn(t *testing.T) {
	t.Parallel()
	type row struct {
		command []string
		want    int
		said    string
	}
	for mode, args := range modes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			rows := map[string]row{
				"code":        {[]string{"demotools", "exit", "75"}, 75, ""},
				"largest":     {[]string{"demotools", "exit", "255"}, 255, ""},
				"signal":      {[]string{"demotools", "die", "15"}, 143, ""},
				"not-in-path": {[]string{"no-such-program"}, 127, "no-such-program"},
				"directory":   {[]string{"/etc"}, 126, "/etc"},
			}
			if !harness.NonRoot(t) { // there every user may execute gatewayctl
				rows["for-root-in-path"] = row{[]string{"gatewayctl"}, 126, "gatewayctl"}
			}
			for name, try := range rows {
				t.Run(name, func(t *testing.T) {
					c, got := runToEnd(t, harness.Options{Args: args, Command: try.command})
					if got != try.want {
						t.Errorf("exit code %d, want %d", got, try.want)
					}
					if try.said != "" {
						if err := logHas(c, `"event":"command-failed"`, try.said); err != nil {
							t.Error(err)
						}
					}
				})
			}
		})
	}
}

// Scenario L23, a signal. The code is 137 if another process kills the command.
func TestKilledCommandExitsWith137(t *testing.T) {
	t.Parallel()
	for mode, args := range modes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Args: args, Command: []string{"demotools", "stubborn", "3600"}})
			waitLog(t, c, "ignoring")
			for _, p := range c.Processes() {
				if c.OfAgent(p) {
					if err := syscall.Kill(p.HostPID, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := c.WaitExit(boot); got != 137 {
				t.Errorf("exit code %d, want 137", got)
			}
		})
	}
}

// Scenario L23, other events. Other events beside the command do not change its
// code.
func TestEventsAroundCommandKeepItsCode(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		misbehave map[string]any
		do        func(t *testing.T, c *harness.Container)
		args      []string
	}{
		"gateway-crashes":  {map[string]any{"exit_after": "0s", "exit_code": 3}, nil, nil},
		"gateway-ignores":  {map[string]any{"ignore_term": true}, nil, nil},
		"gateway-stopped":  {nil, func(_ *testing.T, c *harness.Container) { c.WaitServing(boot); c.MustCtl("stop") }, nil},
		"gateway-restarts": {nil, func(t *testing.T, c *harness.Container) { c.WaitServing(boot); checkRestarted(t, c.Ctl("restart")) }, nil},
		"orphans":          {nil, func(_ *testing.T, c *harness.Container) { c.Tools("sandbox", "zombies", "300") }, nil},
		"no-gateway": {nil, func(t *testing.T, c *harness.Container) {
			if r := c.Ctl("restart"); r.Code != 3 || !strings.Contains(r.Stderr, "not-permitted") {
				t.Errorf("restart without a gateway: %v", r)
			}
			if n := count(t, c, harness.GatewayUID, "demogateway"); n != 0 {
				t.Errorf("%d gateways in spite of --no-gateway", n)
			}
			if _, err := os.Stat(c.RuntimePath("gateway-token")); err == nil {
				t.Error("there is a token without a gateway")
			}
		}, []string{"--no-gateway"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := endOptions([]string{"demotools", "trap", "command", "0", "33"}, try.misbehave)
			o.Args = try.args
			c := harness.Start(t, o)
			waitLog(t, c, "command waits", `"event":"command-started"`)
			if try.do != nil {
				try.do(t, c)
			}
			for _, p := range c.Processes() {
				if c.OfAgent(p) && p.Comm == "demotools" {
					if err := syscall.Kill(p.HostPID, syscall.SIGINT); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := c.WaitExit(boot); got != 33 {
				t.Errorf("exit code %d, want the command's 33", got)
			}
		})
	}
}

// Scenario L23, other failures. A failure of gateway-init has its own code, and the
// command never runs. It is 2 for usage and configuration, and 1 for boot.
func TestOwnFailuresHaveOwnExitCodes(t *testing.T) {
	t.Parallel()
	const ran = "the command ran"
	command := []string{"demotools", "trap", ran, "0", "0"}
	var notRoot []string
	if !harness.NonRoot(t) { // there it runs without root anyway, and a foreign PID 1 without root cannot change users
		notRoot = []string{"--user", "9002"}
	}
	for name, try := range map[string]struct {
		o    harness.Options
		want int
		text string
	}{
		"unknown-option":   {harness.Options{Args: []string{"--no-such-option"}}, 2, "--no-such-option"},
		"no-command":       {harness.Options{Args: []string{"--no-gateway"}}, 2, "needs a command"},
		"broken-config":    {harness.Options{RawConfig: []byte(`{"gateway": {"command": ["/x"],}}`), Command: command}, 2, "config.json"},
		"missing-config":   {harness.Options{Args: []string{"--config", "/no/such/file"}, Command: command}, 2, "/no/such/file"},
		"no-gateway-there": {harness.Options{Config: map[string]any{"gateway": map[string]any{"command": []any{"/no/such/gateway"}}}, Command: command}, 1, "/no/such/gateway"},
		"not-as-root": {harness.Options{Extra: notRoot, Config: map[string]any{"require_separation": true}, Command: command},
			1, "require_separation is set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, got := runToEnd(t, try.o)
			if got != try.want {
				t.Errorf("exit code %d, want %d", got, try.want)
			}
			if err := logHas(c, try.text); err != nil {
				t.Error(err)
			}
			if logHas(c, fmt.Sprintf("%s waits", ran)) == nil {
				t.Error("the command ran")
			}
		})
	}
}
