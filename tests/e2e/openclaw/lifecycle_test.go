// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// startedAt returns when PID 1 of the container was started.
func startedAt(c *harness.Container) string {
	var state struct{ State struct{ StartedAt string } }
	c.Inspect(&state)
	return state.State.StartedAt
}

// signal sends a signal to a process of the container, as root in the container.
func signal(c *harness.Container, pid int, name string) {
	c.Tools("", "sigsend", strconv.Itoa(pid), name)
}

// drain is how long the gateway waits for a turn after SIGTERM. An earlier test of
// this container may have left a turn.
const drain = 330 * time.Second

// replaced signals the gateway and waits for its successor in the same container.
// It returns the records from before and after.
func replaced(t *testing.T, c *harness.Container, name string) (old, now status.Record) {
	t.Helper()
	began, old := startedAt(c), c.Status()
	signal(c, old.Gateway.PID, name)
	now = c.WaitNewGateway(old.Gateway.Process, drain+ready)
	if now.LastExit.PID != old.Gateway.PID {
		t.Errorf("the last exit is not of pid %d: %+v", old.Gateway.PID, now.LastExit)
	}
	if startedAt(c) != began {
		t.Error("the container was started again")
	}
	return old, now
}

// Scenario L01, with OpenClaw. The gateway exits with 0 on SIGTERM. A supervisor
// that took 0 for "done" left the container without a gateway (#6107).
func TestSignaledOpenClawIsStartedAgain(t *testing.T) {
	c := shared(t)
	_, r := replaced(t, c, "TERM")
	if e := r.LastExit; e.Code != 0 || e.Requested || e.Failure || !e.Proven {
		t.Errorf("last exit: %+v", e)
	}
}

// TestRestartsItself checks the restart that the gateway makes itself after some
// changes of its configuration. Under external supervision it exits with 0. PID 1
// starts the next one and proves it, with a check of the token.
func TestRestartsItself(t *testing.T) {
	c := shared(t)
	old, r := replaced(t, c, "USR2")
	if e := r.LastExit; e.Code != 0 || e.Failure || r.Crashes != old.Crashes {
		t.Errorf("last exit: %+v, %d crashes after %d", e, r.Crashes, old.Crashes)
	}
	if r.Proof.Auth != status.Held {
		t.Errorf("proof: %+v", r.Proof)
	}
}

// Scenario L02, with OpenClaw. The gateway exits with 0 when a restart is requested
// (#6868).
func TestRestartOfOpenClawIsProven(t *testing.T) {
	c := shared(t)
	old := c.Status()
	c.MustCtl("restart", "--timeout", "4m")
	r := c.Status()
	if r.Gateway.Process == old.Gateway.Process || r.Restarts != old.Restarts+1 || r.State != status.Running {
		t.Errorf("after the restart: %+v", r)
	}
	if e := r.LastExit; e.PID != old.Gateway.PID || e.Code != 0 || !e.Requested || e.Failure {
		t.Errorf("last exit: %+v", e)
	}
	for name, signal := range map[string]string{"child": r.Proof.Child, "listener": r.Proof.Listener, "ready": r.Proof.Ready, "auth": r.Proof.Auth} {
		if signal != status.Held {
			t.Errorf("%s is %s", name, signal)
		}
	}
}

// Scenario L04, with OpenClaw. kill -9 of the gateway left a container that
// ran and served nothing (#2757).
func TestKilledOpenClawServesAgain(t *testing.T) {
	c := shared(t)
	_, r := replaced(t, c, "KILL")
	if e := r.LastExit; e.Signal != 9 || e.Requested {
		t.Errorf("last exit: %+v", e)
	}
}

// Scenario L08, with OpenClaw. The gateway lived and did not answer (#4710).
func TestUnresponsiveOpenClawIsRestarted(t *testing.T) {
	c := shared(t)
	old, r := replaced(t, c, "STOP")
	if e := r.LastExit; e.Signal != 9 || r.Crashes != old.Crashes+1 {
		t.Errorf("last exit: %+v, %d crashes after %d", e, r.Crashes, old.Crashes)
	}
}

// TestKillEach kills each process of the gateway's tree. A supervisor that watched
// one pid lost the gateway when the listener's parent, or a helper in its own
// session, died.
func TestKillEach(t *testing.T) {
	c := shared(t)
	var lines []string // read before the first kill, which may end the others too
	for _, p := range gatewayTree(c) {
		if line, err := readProc(p.HostPID, "cmdline"); err == nil && line != "" { // or it has ended
			lines = append(lines, line)
		}
	}
	if len(lines) < 3 { // gateway, spawn broker, database worker
		t.Fatalf("the gateway's tree is %q", lines)
	}
	for _, line := range lines {
		name := strings.TrimSpace(strings.ReplaceAll(line, "\x00", " "))
		var victim harness.Process
		harness.Eventually(t, ready, "a process "+name, func() error {
			for _, p := range gatewayTree(c) {
				if again, _ := readProc(p.HostPID, "cmdline"); again == line {
					victim = p
					return nil
				}
			}
			return fmt.Errorf("%v", gatewayTree(c))
		})
		signal(c, victim.PID, "KILL")
		harness.Eventually(t, ready, "a proven gateway without "+name, func() error {
			if slices.ContainsFunc(c.Processes(), func(p harness.Process) bool { return p.HostPID == victim.HostPID }) {
				return errors.New("it is still there")
			}
			if r := c.Ctl("probe"); r.Code != 0 {
				return errors.New(r.String())
			}
			return nil
		})
		t.Logf("killed %d, %s: gateway pid %d", victim.PID, name, c.Status().Gateway.PID)
	}
}

// TestLauncher kills a launcher whose child is the vendor's gateway, as some
// settings have it. The child kept the port and the locks. Each new gateway exited
// with 78, in a restart loop.
func TestLauncher(t *testing.T) {
	takePlace(t)
	c := start(t, nil, map[string]any{"gateway": map[string]any{"env": map[string]any{"OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED": nil}}})
	launcher := c.Status().Gateway.Process
	listener := func() (found harness.Process) {
		for _, p := range gatewayTree(c) {
			if p.Comm == "openclaw-gatewa" {
				found = p
			}
		}
		return found
	}
	old := listener()
	if old.PID == 0 || old.PID == launcher.PID {
		t.Fatalf("no launcher: the gateway is %v, its tree %v", launcher, gatewayTree(c))
	}
	signal(c, launcher.PID, "KILL")
	r := c.WaitNewGateway(launcher, ready)
	if now := listener(); now.HostPID == old.HostPID {
		t.Errorf("the old listener %+v serves", old)
	}
	if e := r.LastExit; e.PID != launcher.PID || e.Signal != 9 {
		t.Errorf("last exit: %+v", e)
	}
}

// gatewayTree returns the gateway's processes, the gateway last.
func gatewayTree(c *harness.Container) []harness.Process {
	tree := slices.DeleteFunc(c.Processes(), func(p harness.Process) bool {
		return p.UID != harness.GatewayUID || strings.HasPrefix(p.State, "Z")
	})
	slices.Reverse(tree)
	return tree
}

// Scenario L13, with OpenClaw. After docker restart, after docker stop and start,
// and after a kill of PID 1 by the engine the gateway serves again without a
// command (#6635).
func TestOpenClawServesAfterContainerRestart(t *testing.T) {
	takePlace(t)
	c := start(t, nil, nil)
	again := func(how string, do func()) {
		t.Helper()
		old := c.Token()
		begin := time.Now()
		do()
		c.WaitServing(ready)
		t.Logf("%s: serves %.1f s after the command", how, time.Since(begin).Seconds())
		if c.Token() == old {
			t.Errorf("%s: the token is the one of the life before", how)
		}
	}
	for i := range 10 {
		again(fmt.Sprintf("docker restart %d", i+1), c.Restart)
	}
	again("docker stop and start", func() { c.Stop(); c.StartAgain() })
	again("kill -9 of PID 1", func() { c.Kill("KILL"); c.WaitExit(time.Minute); c.StartAgain() })
}

// Scenario L22, with OpenClaw. docker stop ends every process (#1015). A process
// that outlives the grace makes the exit code 137.
func TestDockerStopEndsOpenClaw(t *testing.T) {
	takePlace(t)
	o := options(t, nil, nil)
	o.Command = nil
	c := harness.Start(t, o)
	c.WaitServing(ready)
	pids := c.Processes()
	c.Stop()
	if code := c.WaitExit(time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, p := range pids {
		if fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", p.HostPID)); err == nil && fields["Name"] == p.Comm {
			t.Errorf("%+v lives", p)
		}
	}
}

// Scenario F09, with OpenClaw. The agent makes processes that look like the
// gateway's.
func TestDecoysAreNeverTakenForOpenClaw(t *testing.T) {
	c := shared(t)
	real := c.Status().Gateway.Process
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.GatewayHostPID()))
	if err != nil {
		t.Fatal(err)
	}
	argv0, _, _ := strings.Cut(string(line), "\x00")
	c.ExecDetached("sandbox", "demotools", "decoy", "openclaw-gatewa", strings.TrimSpace(argv0))
	c.ExecDetached("sandbox", "demotools", "decoy", ") S 1 1 (", "openclaw-gateway")
	var decoys []harness.Process
	harness.Eventually(t, time.Minute, "two decoys", func() error {
		decoys = slices.DeleteFunc(c.Processes(), func(p harness.Process) bool {
			return p.UID != harness.SandboxUID || p.Comm != "openclaw-gatewa" && p.Comm != ") S 1 1 ("
		})
		if len(decoys) != 2 {
			return fmt.Errorf("%v", decoys)
		}
		return nil
	})
	defer func() {
		for _, d := range decoys {
			signal(c, d.PID, "KILL")
		}
	}()
	if r := c.MustCtl("probe"); !strings.Contains(r, strconv.Itoa(real.PID)) {
		t.Errorf("probe says %q, the gateway is %d", r, real.PID)
	}
	c.MustCtl("restart", "--timeout", "4m")
	now := c.Status().Gateway.PID
	for _, d := range decoys {
		if d.PID == now {
			t.Errorf("status names the decoy %+v as the gateway", d)
		}
		if !slices.ContainsFunc(c.Processes(), func(p harness.Process) bool { return p.HostPID == d.HostPID }) {
			t.Errorf("the decoy %+v was ended", d)
		}
	}
}
