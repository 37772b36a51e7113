// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

const gatewayPath = "/usr/local/bin/demogateway"

// findDecoys returns the host's pids of the sandbox user's processes that have the
// gateway's argv or name.
func findDecoys(c *harness.Container) []int {
	var found []int
	for _, p := range c.Processes() {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.HostPID))
		argv := strings.HasPrefix(string(cmdline), gatewayPath+"\x00")
		if p.UID == harness.SandboxUID && (argv || p.Comm == "demogateway") {
			found = append(found, p.HostPID)
		}
	}
	slices.Sort(found)
	return found
}

// Scenario F09. Processes of the agent with the gateway's argv, title and
// comm are never adopted, signaled or named as the gateway.
//
// A supervisor that looked for its gateway by name adopted, signaled and reported
// processes that the agent had forged.
func TestDecoysAreNeverTheGateway(t *testing.T) {
	t.Parallel()
	const forged = ") S 1 1 ("
	c := harness.Start(t, harness.Options{
		// One is PID 1's own child, one its orphan, and docker exec starts one.
		Command: []string{"demotools", "decoy", forged, gatewayPath},
		Config:  map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "200ms"}}},
	})
	first := c.WaitServing(20 * time.Second)
	c.Tools("sandbox", "orphan", "decoy", "demogateway", gatewayPath)
	c.ExecDetached("sandbox", "demotools", "decoy", forged, gatewayPath, "--listen", "127.0.0.1:18789")
	var want []int
	harness.Eventually(t, 10*time.Second, "three decoys", func() error {
		if want = findDecoys(c); len(want) != 3 {
			return fmt.Errorf("%v of %v", want, c.Processes())
		}
		return nil
	})
	checkDecoys := func(t *testing.T) {
		t.Helper()
		if got := findDecoys(c); !slices.Equal(got, want) {
			t.Fatalf("decoys were %v and are %v", want, got)
		}
	}
	// checkGateway checks for a child of PID 1 with the gateway's uid. The agent cannot
	// forge that.
	checkGateway := func(t *testing.T, g status.Process) {
		t.Helper()
		fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", c.HostPIDOf(g.PID)))
		if err != nil {
			t.Fatal(err)
		}
		if uid := strings.Fields(fields["Uid"])[0]; uid != fmt.Sprint(harness.GatewayUID) {
			t.Errorf("status names pid %d of uid %s as the gateway", g.PID, uid)
		}
		if fields["PPid"] != fmt.Sprint(c.HostPID()) {
			t.Errorf("status names pid %d, a child of %s, as the gateway", g.PID, fields["PPid"])
		}
	}
	checkGateway(t, first.Gateway.Process)
	last := first
	for _, step := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"requested-restart", func(*testing.T) { c.MustCtl("restart") }},
		{"kill", func(*testing.T) { c.Tools("", "sigsend", fmt.Sprint(last.Gateway.PID), "KILL") }},
		{"stop-and-recover", func(t *testing.T) {
			c.MustCtl("stop")
			if r := c.WaitState(status.Stopped, 10*time.Second); r.Gateway.PID != 0 {
				t.Errorf("stopped, and status names pid %d", r.Gateway.PID)
			}
			if v := c.View(); v.Serving || v.Reason != "not-running" {
				t.Errorf("stopped, and status says serving %t, reason %q", v.Serving, v.Reason)
			}
			if r := c.Ctl("probe"); r.Code == 0 {
				t.Errorf("a probe of a stopped gateway: %v", r)
			}
			checkDecoys(t)
			c.MustCtl("recover")
		}},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.do(t)
			last = c.WaitNewGateway(last.Gateway.Process, 15*time.Second)
			checkGateway(t, last.Gateway.Process)
			checkDecoys(t)
		})
	}
	// After the stop they must not count as processes that the gateway left.
	c.MustCtl("stop")
	harness.Eventually(t, 5*time.Second, "nothing of the gateway's user", func() error {
		for _, p := range c.Processes() {
			if p.UID == harness.GatewayUID {
				return errors.New("there is " + p.Comm)
			}
		}
		return nil
	})
	checkDecoys(t)
}
