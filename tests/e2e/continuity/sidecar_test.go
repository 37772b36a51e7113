// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// badSidecars returns sidecars that fail, each in another way.
func badSidecars() []any {
	tool := func(name, user string, args ...string) map[string]any {
		command := append([]string{"/usr/local/bin/demotools"}, args...)
		return map[string]any{"name": name, "user": user, "command": command}
	}
	missing := tool("missing", "sandbox")
	missing["command"] = []string{"/usr/local/bin/no-such-program"}
	directory := tool("no-program", "sandbox")
	directory["command"] = []string{"/etc"}
	nowhere := tool("no-directory", "sandbox", "sleep", "3600")
	nowhere["working_dir"] = "/no/such/directory"
	once := tool("once", "operator", "exit", "3")
	once["restart"] = "never"
	return []any{
		missing, directory, nowhere, once,
		tool("clean-end", "sandbox", "exit", "0"),
		tool("failing", "operator", "exit", "1"),
		tool("as-gateway", "gateway", "exit", "7"),
		tool("stubborn", "sandbox", "stubborn", "3600"),
		tool("stubborn-as-gateway", "gateway", "stubborn", "3600"),
		tool("good", "operator", "sleep", "3600"),
	}
}

// Scenario L12. A missing or failing sidecar never keeps the gateway from
// being restarted.
//
// A log tail or dashboard that was missing or failed kept the gateway from
// being restarted (#7484).
func TestBrokenSidecarNeverBlocksRestart(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{"sidecars": badSidecars()}})
	pid1 := c.HostPID()
	c.WaitServing(boot)

	want := map[string]string{
		"missing": "failed", "no-program": "failed", "no-directory": "failed", "once": "stopped",
		"clean-end": "backoff", "failing": "backoff", "as-gateway": "backoff",
		"stubborn": "running", "stubborn-as-gateway": "running", "good": "running",
	}
	c.WaitStatus(boot, "every sidecar to be named as what it is", sidecarsAre(want))

	for round := range 5 {
		old := c.Status().Gateway.Process
		checkRestarted(t, c.Ctl("restart"))
		now := c.WaitNewGateway(old, 10*time.Second)
		if err := syscall.Kill(c.HostPIDOf(now.Gateway.PID), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.WaitNewGateway(now.Gateway.Process, 10*time.Second)
		// An end that the restart caused is no failure, so the backoff does not grow.
		c.WaitStatus(10*time.Second, "the good ones to run in round "+strconv.Itoa(round), sidecarsAre(map[string]string{
			"stubborn": "running", "stubborn-as-gateway": "running", "good": "running", "once": "stopped",
		}))
	}

	c.MustCtl("stop")
	c.MustCtl("recover")
	c.WaitServing(boot)
	c.WaitStatus(boot, "sidecars after stop and recover", sidecarsAre(want))
	if n := count(t, c, harness.GatewayUID, "demogateway"); n != 1 {
		t.Errorf("%d gateways: %v", n, c.Processes())
	}
	// A sidecar that ignores SIGTERM is adopted or replaced, and never runs twice.
	most := 2 // stubborn and, for an instant, clean-end
	if harness.NonRoot(t) {
		most = 6 // all of them are of that user
	}
	if n := count(t, c, harness.SandboxUID, "demotools"); n > most {
		t.Errorf("%d processes of the sidecars' user: %v", n, c.Processes())
	}
	if err := samePID1(c, pid1); err != nil {
		t.Error(err)
	}
}

// sidecarsAre compares the states of sidecars with those that are wanted.
func sidecarsAre(want map[string]string) func(harness.View) error {
	return func(v harness.View) error {
		have := map[string]string{}
		for _, s := range v.Record.Sidecars {
			have[s.Name] = s.State
		}
		for name, state := range want {
			if have[name] != state {
				return fmt.Errorf("%s is %q, want %q", name, have[name], state)
			}
		}
		return nil
	}
}

// count returns how many live processes of a user have this name, without a foreign
// PID 1. If all processes have one user, only uid 0 is another.
func count(t *testing.T, c *harness.Container, uid uint32, comm string) int {
	t.Helper()
	if uid != 0 {
		uid = harness.UID(t, uid)
	}
	n := 0
	for _, p := range c.Processes() {
		if p.PID != 1 && p.UID == int(uid) && p.Comm == comm && p.State[0] != 'Z' {
			n++
		}
	}
	return n
}
