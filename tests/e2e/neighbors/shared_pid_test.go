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

// ofGateway are the host's pids of one container's processes of the gateway's
// uid: those whose line of parents leads to its gateway-init.
func ofGateway(t *testing.T, c *harness.Container) []int {
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
			// Another gateway-init on the way: it is that one's.
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
// The sweep that clears a former gateway's remains by uid would end the
// gateway of another container that shares the PID namespace and the uid.
func TestSweepSparesTheOtherContainer(t *testing.T) {
	t.Parallel()
	// Helpers with sessions of their own: what the sweep is there for.
	leaves := map[string]any{"helper": true, "hold_stdout": true}
	first := harness.Start(t, harness.Options{Misbehave: leaves})
	first.WaitServing(20 * time.Second)
	second := harness.Start(t, harness.Options{Misbehave: leaves, Extra: []string{"--pid", "container:" + first.Name}})
	second.WaitServing(20 * time.Second)
	all := map[string]*harness.Container{"first": first, "second": second}

	// quiet does something to one and sees that the other notices nothing.
	quiet := func(t *testing.T, who string, do func(c *harness.Container)) {
		t.Helper()
		mine, other := all[who], all["first"]
		if who == "first" {
			other = all["second"]
		}
		processes, before := ofGateway(t, other), other.WaitServing(10*time.Second)
		if len(processes) != 3 {
			t.Fatalf("the other has %d processes of the gateway's uid, want gateway and two helpers", len(processes))
		}
		do(mine)
		if got := ofGateway(t, other); !slices.Equal(got, processes) {
			t.Errorf("the other's processes were %v and are %v", processes, got)
		}
		after := other.WaitServing(10 * time.Second)
		if after.Gateway.Process != before.Gateway.Process || after.Crashes != before.Crashes {
			t.Errorf("the other's gateway was %+v and is %+v", before.Gateway, after.Gateway)
		}
	}
	// swept: nothing of before is left of one's own.
	swept := func(t *testing.T, c *harness.Container, before []int) {
		t.Helper()
		for _, pid := range ofGateway(t, c) {
			if slices.Contains(before, pid) {
				t.Errorf("process %d of the former gateway is still there", pid)
			}
		}
	}
	for _, who := range []string{"first", "second"} {
		t.Run(who+"-restart", func(t *testing.T) {
			quiet(t, who, func(c *harness.Container) {
				before := ofGateway(t, c)
				c.MustCtl("restart")
				swept(t, c, before)
			})
		})
		t.Run(who+"-crash", func(t *testing.T) {
			quiet(t, who, func(c *harness.Container) {
				before, old := ofGateway(t, c), c.Status().Gateway
				c.Tools("", "sigsend", fmt.Sprint(old.PID), "KILL")
				c.WaitNewGateway(old.Process, 10*time.Second)
				swept(t, c, before)
			})
		})
		t.Run(who+"-stop-and-start", func(t *testing.T) {
			quiet(t, who, func(c *harness.Container) {
				c.MustCtl("stop")
				if left := ofGateway(t, c); len(left) != 0 {
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
		quiet(t, "second", func(c *harness.Container) {
			before := ofGateway(t, c)
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
	// It comes back into the same namespace, which the first one knows as shared.
	t.Run("second-container-starts-again", func(t *testing.T) {
		second.StartAgain()
		second.WaitServing(20 * time.Second)
		quiet(t, "first", func(c *harness.Container) { c.MustCtl("restart") })
		quiet(t, "second", func(c *harness.Container) { c.MustCtl("restart") })
	})
}
