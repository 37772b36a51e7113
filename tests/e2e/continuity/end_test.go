// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// tool returns a sidecar that runs a tool.
func tool(name, user string, args ...string) map[string]any {
	return map[string]any{"name": name, "user": user, "command": append([]string{"/usr/local/bin/demotools"}, args...)}
}

// endOptions sets a short grace, so that gateway-init kills the last processes long
// before the engine would.
func endOptions(command []string, misbehave map[string]any, sidecars ...any) harness.Options {
	config := map[string]any{"gateway": map[string]any{"stop": map[string]any{"grace": "2s"}}}
	if len(sidecars) > 0 {
		config["sidecars"] = sidecars
	}
	return harness.Options{Command: command, Misbehave: misbehave, Config: config}
}

// waitLog waits until the container has written every text.
func waitLog(t *testing.T, c *harness.Container, texts ...string) {
	t.Helper()
	harness.Eventually(t, boot, fmt.Sprintf("%q in the log", texts), func() error { return logHas(c, texts...) })
}

func logHas(c *harness.Container, texts ...string) error {
	log := c.Logs()
	for _, text := range texts {
		if !strings.Contains(log, text) {
			return fmt.Errorf("no %q", text)
		}
	}
	return nil
}

// Scenario L22. On docker stop all processes get the stop signal, then
// SIGKILL after the grace period, which is shorter than the engine's. The
// exit code is that of section 9 of docs/design.md.
//
// docker stop killed the gateway and the agent's processes without a signal before,
// after ten seconds (#1015).
func TestDockerStopEndsEveryProcess(t *testing.T) {
	t.Parallel()
	const killed = `"event":"killed"`
	// If all processes have one user, a process that holds the gateway's output, in its
	// own session and without its environment, is not known as a descendant. It has
	// the grace.
	holds := !harness.NonRoot(t)
	for name, try := range map[string]struct {
		command   []string
		misbehave map[string]any
		sidecars  []any
		ready     []string // in the log before the stop
		want      []string // in the log after it
		code      int
		killed    bool
	}{
		"gateway-alone":       {code: 0, want: []string{`"requested":true`}},
		"gateway-exits-1":     {misbehave: map[string]any{"exit_code": 1}, code: 0},
		"gateway-drains":      {misbehave: map[string]any{"drain": "1s"}, code: 0, want: []string{`"code":0,"signal":0,"requested":true`}},
		"gateway-ignores":     {misbehave: map[string]any{"ignore_term": true}, code: 137, killed: true},
		"gateway-with-helper": {misbehave: map[string]any{"helper": true, "hold_stdout": holds}, code: 0, killed: true}, // the helper ignores SIGTERM, so it takes the grace
		"command-dies":        {command: []string{"demotools", "sleep", "3600"}, code: 143},
		"command-ends-in-time": {command: []string{"demotools", "trap", "command", "1", "9"},
			ready: []string{"command waits"}, want: []string{"command got terminated"}, code: 9},
		"command-ends-with-0": {command: []string{"demotools", "trap", "command", "0", "0"},
			ready: []string{"command waits"}, want: []string{"command got terminated"}, code: 0},
		"command-ignores": {command: []string{"demotools", "stubborn", "3600"}, ready: []string{"ignoring"}, code: 137, killed: true},
		"command-too-slow": {command: []string{"demotools", "trap", "command", "60", "9"},
			ready: []string{"command waits"}, want: []string{"command got terminated"}, code: 137, killed: true},
		"gateway-ignores-command-ends": {command: []string{"demotools", "trap", "command", "0", "5"},
			misbehave: map[string]any{"ignore_term": true}, ready: []string{"command waits"},
			want: []string{"command got terminated"}, code: 5, killed: true},
		"orphan-ends": {command: []string{"demotools", "orphan-then", "trap", "orphan", "1", "3", "--", "trap", "command", "0", "4"},
			ready: []string{"orphan waits", "command waits"}, want: []string{"orphan got terminated", "command got terminated"}, code: 4},
		"orphan-ignores": {command: []string{"demotools", "orphan-then", "stubborn", "3600", "--", "trap", "command", "0", "4"},
			ready: []string{"ignoring", "command waits"}, want: []string{"command got terminated"}, code: 4, killed: true},
		"sidecar-ends": {sidecars: []any{tool("tail", "sandbox", "trap", "tail", "1", "3"), tool("relay", "operator", "trap", "relay", "0", "1")},
			ready: []string{"tail waits", "relay waits"}, want: []string{"tail got terminated", "relay got terminated"}, code: 0},
		"sidecar-ignores": {sidecars: []any{tool("tail", "operator", "stubborn", "3600")}, ready: []string{"ignoring"}, code: 137, killed: true},
		"everything-at-once": {
			command:   []string{"demotools", "orphan-then", "trap", "orphan", "1", "0", "--", "trap", "command", "1", "6"},
			sidecars:  []any{tool("tail", "sandbox", "trap", "tail", "1", "0")},
			misbehave: map[string]any{"drain": "1s"},
			ready:     []string{"orphan waits", "command waits", "tail waits"},
			want:      []string{"orphan got terminated", "command got terminated", "tail got terminated"}, code: 6,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, endOptions(try.command, try.misbehave, try.sidecars...))
			c.WaitServing(boot)
			waitLog(t, c, try.ready...)
			if try.command != nil {
				waitLog(t, c, `"event":"command-started"`)
			}
			c.Stop()
			if code := c.WaitExit(time.Second); code != try.code {
				t.Errorf("exit code %d, want %d", code, try.code)
			}
			if err := logHas(c, try.want...); err != nil {
				t.Error(err)
			}
			if got := logHas(c, killed) == nil || logHas(c, `"event":"gateway-killed"`) == nil; got != try.killed {
				t.Errorf("something was killed: %t, want %t", got, try.killed)
			}
		})
	}
}

// Scenario L22, docker exec. The agent's and the operator's processes that docker
// exec started get the signal and the grace too. Those of root end with the
// container.
func TestStopSignalReachesExecProcesses(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, endOptions(nil, nil))
	c.WaitServing(boot)
	guests := map[string]*guest{}
	for _, user := range []string{"sandbox", "operator"} {
		guests[user] = enter(t, c, user, "demotools", "trap", user, "1", "21")
	}
	c.ExecDetached("0:0", "demotools", "stubborn", "3600")
	harness.Eventually(t, boot, "root's own tool", func() error {
		if n := count(t, c, 0, "demotools"); n != 1 {
			return fmt.Errorf("%d of them: %v", n, c.Processes())
		}
		return nil
	})
	c.Stop()
	if code := c.WaitExit(time.Second); code != 0 {
		t.Errorf("exit code %d: root's process was waited for, or counted", code)
	}
	for user, g := range guests {
		text, code := g.end(t)
		if harness.Managed() {
			// The kernel kills it when the foreign PID 1 ends, because it is not a
			// descendant of gateway-init.
			if code != 137 {
				t.Errorf("docker exec as %s: exit code %d, %q", user, code, text)
			}
			continue
		}
		if !strings.Contains(text, user+" got terminated") || code != 21 {
			t.Errorf("docker exec as %s: exit code %d, %q", user, code, text)
		}
	}
}

// Scenario L22, the signals. Each stop signal, and two of them, have the same
// effect.
func TestEveryStopSignalEndsAlike(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][]unix.Signal{
		"term": {unix.SIGTERM}, "int": {unix.SIGINT}, "quit": {unix.SIGQUIT}, "pwr": {unix.SIGPWR}, "rtmin+3": {unix.Signal(37)},
		"twice": {unix.SIGTERM, unix.SIGTERM}, "mixed": {unix.SIGINT, unix.SIGTERM, unix.SIGPWR},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, endOptions([]string{"demotools", "trap", "command", "1", "8"}, nil))
			c.WaitServing(boot)
			waitLog(t, c, "command waits", `"event":"command-started"`)
			// The engine is too slow to send all of them before the first has its effect.
			init := c.HostPID()
			for _, sig := range signals {
				if err := unix.Kill(init, sig); err != nil {
					t.Fatal(err)
				}
			}
			if code := c.WaitExit(harness.EngineGrace); code != 8 {
				t.Errorf("exit code %d, want the command's 8", code)
			}
			// Without a terminal only gateway-init can have signaled the command.
			if err := logHas(c, "command got terminated"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Scenario L22, other states. docker stop works while the gateway is stopped,
// crashes, or is being replaced.
func TestDockerStopWorksInEveryState(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		misbehave map[string]any
		do        func(t *testing.T, c *harness.Container)
		code      int
	}{
		"stopped":  {nil, func(_ *testing.T, c *harness.Container) { c.WaitServing(boot); c.MustCtl("stop") }, 0},
		"backoff":  {map[string]any{"start_exit": 1}, func(_ *testing.T, c *harness.Container) { c.WaitState("backoff", boot) }, 0},
		"starting": {map[string]any{"listen_after": "1h"}, func(_ *testing.T, c *harness.Container) { c.WaitState("starting", boot) }, 0},
		"stopping": {map[string]any{"drain": "5s"}, func(t *testing.T, c *harness.Container) {
			c.WaitServing(boot)
			done := async(c, "restart")
			t.Cleanup(func() {
				if r := wait(t, done, boot); r.Code == 0 {
					t.Errorf("the restart in progress: %v", r)
				}
			})
			c.WaitState("stopping", boot)
		}, 0},
		"frozen": {nil, func(t *testing.T, c *harness.Container) { // it gets SIGCONT with SIGTERM
			c.WaitServing(boot)
			if err := syscall.Kill(c.GatewayHostPID(), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}, 0},
		"just-started": {nil, waitListening, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := endOptions(nil, try.misbehave)
			if try.misbehave["drain"] != nil { // the drain must be seen, and end within the grace
				o.Config["gateway"] = map[string]any{"stop": map[string]any{"grace": "8s"}}
			}
			c := harness.Start(t, o)
			try.do(t, c)
			c.Stop()
			if code := c.WaitExit(time.Second); code != try.code {
				t.Errorf("exit code %d, want %d", code, try.code)
			}
		})
	}
}

// waitListening waits until gateway-init has a handler for SIGTERM. The kernel drops an
// earlier SIGTERM to a PID 1.
func waitListening(t *testing.T, c *harness.Container) {
	harness.Eventually(t, boot, "a handler for SIGTERM", func() error {
		pid := c.HostPID()
		for _, p := range c.Processes() { // its helpers come after it
			if p.Comm == "gateway-init" {
				pid = p.HostPID
				break
			}
		}
		fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return err
		}
		caught, err := strconv.ParseUint(fields["SigCgt"], 16, 64)
		if err != nil || fields["Name"] != "gateway-init" || caught>>(syscall.SIGTERM-1)&1 == 0 {
			return fmt.Errorf("%s catches %s", fields["Name"], fields["SigCgt"])
		}
		return nil
	})
}
