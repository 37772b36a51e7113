// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// gatewayProcesses returns the host's pids of the processes with the gateway's uid that
// descend from the container's gateway-init.
func gatewayProcesses(t *testing.T, c *harness.Container) []int {
	t.Helper()
	top := fmt.Sprint(c.HostPID())
	var found []int
	for _, p := range c.Processes() {
		if p.UID != harness.GatewayUID || strings.HasPrefix(p.State, "Z") {
			continue
		}
		for pid := fmt.Sprint(p.HostPID); pid != "0" && pid != "1"; {
			fields, err := harness.StatusFields("/proc/" + pid + "/status")
			if err != nil {
				break
			}
			if pid = fields["PPid"]; pid == top {
				found = append(found, p.HostPID)
				break
			}
			// It descends from another gateway-init.
			if strings.HasPrefix(fields["Name"], "gateway-init") {
				break
			}
		}
	}
	slices.Sort(found)
	return found
}

// Scenario F13. With two containers in one PID namespace, the sweep of one
// never reaches the other's processes of the same uid.
//
// A sweep that ends the former gateway's processes by uid would end the gateway of
// another container that shares the PID namespace and the uid.
func TestSweepSparesTheOtherContainer(t *testing.T) {
	t.Parallel()
	// The helpers have their own sessions, so only the sweep ends them.
	leaves := map[string]any{"helper": true, "hold_stdout": true}
	first := harness.Start(t, harness.Options{Misbehave: leaves})
	first.WaitServing(20 * time.Second)
	second := harness.Start(t, harness.Options{Misbehave: leaves, Extra: []string{"--pid", "container:" + first.Name}})
	second.WaitServing(20 * time.Second)
	all := map[string]*harness.Container{"first": first, "second": second}

	// changesOnly calls do on one container and checks that nothing changes in the other.
	changesOnly := func(t *testing.T, who string, do func(c *harness.Container)) {
		t.Helper()
		mine, other := all[who], all["first"]
		if who == "first" {
			other = all["second"]
		}
		processes, before := gatewayProcesses(t, other), other.WaitServing(10*time.Second)
		if len(processes) != 3 {
			t.Fatalf("the other has %d processes of the gateway's uid, want gateway and two helpers", len(processes))
		}
		do(mine)
		if got := gatewayProcesses(t, other); !slices.Equal(got, processes) {
			t.Errorf("the other's processes were %v and are %v", processes, got)
		}
		after := other.WaitServing(10 * time.Second)
		if after.Gateway.Process != before.Gateway.Process || after.Crashes != before.Crashes {
			t.Errorf("the other's gateway was %+v and is %+v", before.Gateway, after.Gateway)
		}
	}
	// checkSwept checks that no process of before is left.
	checkSwept := func(t *testing.T, c *harness.Container, before []int) {
		t.Helper()
		for _, pid := range gatewayProcesses(t, c) {
			if slices.Contains(before, pid) {
				t.Errorf("process %d of the former gateway is still there", pid)
			}
		}
	}
	for _, who := range []string{"first", "second"} {
		t.Run(who+"-restart", func(t *testing.T) {
			changesOnly(t, who, func(c *harness.Container) {
				before := gatewayProcesses(t, c)
				c.MustCtl("restart")
				checkSwept(t, c, before)
			})
		})
		t.Run(who+"-crash", func(t *testing.T) {
			changesOnly(t, who, func(c *harness.Container) {
				before, old := gatewayProcesses(t, c), c.Status().Gateway
				c.Tools("", "sigsend", fmt.Sprint(old.PID), "KILL")
				c.WaitNewGateway(old.Process, 10*time.Second)
				checkSwept(t, c, before)
			})
		})
		t.Run(who+"-stop-and-start", func(t *testing.T) {
			changesOnly(t, who, func(c *harness.Container) {
				c.MustCtl("stop")
				if left := gatewayProcesses(t, c); len(left) != 0 {
					t.Errorf("stopped, and %v are left", left)
				}
				if s := c.WaitState(status.Stopped, 5*time.Second); s.Gateway.PID != 0 {
					t.Errorf("stopped, and status names pid %d", s.Gateway.PID)
				}
				c.MustCtl("start")
			})
		})
	}
	t.Run("second-container-stops", func(t *testing.T) {
		changesOnly(t, "second", func(c *harness.Container) {
			before := gatewayProcesses(t, c)
			c.Stop()
			if code := c.WaitExit(5 * time.Second); code != 0 {
				t.Errorf("exit code %d", code)
			}
			for _, pid := range before {
				fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", pid))
				if err == nil && !strings.HasPrefix(fields["State"], "Z") {
					t.Errorf("process %d of the stopped container is still there: %s, parent %s", pid, fields["Name"], fields["PPid"])
				}
			}
		})
	})
	// It starts again in the same namespace, which the first one knows as shared.
	t.Run("second-container-starts-again", func(t *testing.T) {
		second.StartAgain()
		second.WaitServing(20 * time.Second)
		changesOnly(t, "first", func(c *harness.Container) { c.MustCtl("restart") })
		changesOnly(t, "second", func(c *harness.Container) { c.MustCtl("restart") })
	})
}
