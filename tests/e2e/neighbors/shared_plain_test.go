// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario F17. A container without gateway-init that joins the PID namespace and has a
// process of the gateway's uid keeps that process at a restart, a crash and a stop.
//
// Sweeps were by uid as long as no other gateway-init had announced itself, so they ended
// the processes of any other container.
func TestSweepSparesAContainerWithoutInit(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Misbehave: map[string]any{"helper": true, "hold_stdout": true}})
	old := c.WaitServing(20 * time.Second)
	other := harness.Start(t, harness.Options{NoState: true, Args: []string{"sleep", "3600"},
		Extra: []string{"--entrypoint", "/usr/local/bin/demotools", "--pid", "container:" + c.Name, "--user", fmt.Sprintf("%d:%d", harness.GatewayUID, harness.GatewayUID)}})
	harness.Eventually(t, 10*time.Second, "a process of the gateway's uid in the other container", func() error {
		if fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", other.HostPID())); err != nil || !strings.HasPrefix(fields["Uid"], fmt.Sprint(harness.GatewayUID)) {
			return fmt.Errorf("%v, %v", fields["Uid"], err)
		}
		return nil
	})
	for name, do := range map[string]func(t *testing.T){
		"restart": func(*testing.T) { c.MustCtl("restart") },
		"crash": func(*testing.T) {
			c.Tools("", "sigsend", fmt.Sprint(c.Status().Gateway.PID), "KILL")
		},
		"stop": func(*testing.T) { c.MustCtl("stop"); c.MustCtl("start") },
	} {
		t.Run(name, func(t *testing.T) {
			before := gatewayProcesses(t, c)
			if len(before) != 3 {
				t.Fatalf("%v of the gateway's uid, want gateway and two helpers", before)
			}
			do(t)
			old = c.WaitNewGateway(old.Gateway.Process, 20*time.Second)
			if !other.Running() {
				t.Fatal("the other container has ended")
			}
			for _, pid := range gatewayProcesses(t, c) {
				if slices.Contains(before, pid) {
					t.Errorf("process %d of the former gateway is still there", pid)
				}
			}
		})
	}
	if n := strings.Count(c.Logs(), `"event":"shared-pid-namespace"`); n != 1 {
		t.Errorf("%d lines about it", n)
	}
}
