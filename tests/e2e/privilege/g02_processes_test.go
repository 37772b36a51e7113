// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario G02. Each thread of each process has the capabilities,
// no_new_privs, groups and umask of section 4 of docs/design.md, read from
// /proc.
//
// One process that kept a capability, a group or a descriptor of root was enough
// for the agent. docs/tcb.md and section 4 of docs/design.md list the privileges of
// each. The test reads the host's /proc.
func TestProcessesHaveOnlyTheirPrivileges(t *testing.T) {
	for name, flags := range map[string][]string{"readme": nil, "plain": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{
				Flags:   flags,
				Command: []string{"demotools", "sleep", "600"},
				Config: map[string]any{"sidecars": []any{
					map[string]any{"name": "side", "command": []string{"/usr/local/bin/demotools", "sleep", "601"}, "user": "operator", "token_env": "SIDE_TOKEN"}}},
			})
			c.WaitServing(30 * time.Second)
			r := c.WaitStatus(20*time.Second, "command and sidecar to run", func(v harness.View) error {
				if v.Record == nil || v.Record.Command == nil || v.Record.Command.PID == 0 || len(v.Record.Sidecars) != 1 || v.Record.Sidecars[0].PID == 0 {
					return fmt.Errorf("not yet: %+v", v.Record)
				}
				return nil
			})
			init := c.HostPID()
			expect(t, "PID 1", init, map[string]string{
				"Uid": ids(0), "Gid": ids(0), "Groups": "0", "Umask": "0077", "NoNewPrivs": "1",
				"CapInh": zeroCaps, "CapPrm": initCaps, "CapEff": initCaps, "CapBnd": zeroCaps, "CapAmb": zeroCaps})
			if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", init)); err != nil || cwd != "/" {
				t.Errorf("PID 1 is in %s, %v", cwd, err)
			}
			if r.Caps.Dumpable || !r.Caps.NoNewPrivs || r.Caps.Effective != initCaps || r.Caps.Bounding != zeroCaps {
				t.Errorf("status says %+v", r.Caps)
			}
			coreLimit(t, init)
			closedOnExec(t, "PID 1", init)
			notDumpable(t, c, r.Gateway.PID)
			known := map[int]bool{1: true}
			for _, child := range []struct {
				who   string
				pid   int
				uid   int
				umask string
			}{
				{"gateway", r.Gateway.PID, harness.GatewayUID, "0007"},
				{"command", r.Command.PID, harness.SandboxUID, "0022"},
				{"sidecar", r.Sidecars[0].PID, harness.OperatorUID, "0022"},
			} {
				host := c.HostPIDOf(child.pid)
				expect(t, child.who, host, map[string]string{
					"Uid": ids(child.uid), "Gid": ids(child.uid), "Groups": fmt.Sprint(child.uid), "Umask": child.umask, "NoNewPrivs": "1",
					"CapInh": zeroCaps, "CapPrm": zeroCaps, "CapEff": zeroCaps, "CapBnd": zeroCaps, "CapAmb": zeroCaps})
				coreLimit(t, host)
				closedOnExec(t, child.who, host)
				session(t, child.who, host, child.pid)
				known[child.pid] = true
			}
			// No other process exists, not even the reader that handed the sidecar
			// its token. A process that is not in the table has not been checked.
			harness.Eventually(t, 10*time.Second, "only processes of the table", func() error {
				for _, p := range c.Processes() {
					if !known[p.PID] { // a short-lived worker, or our docker exec
						return fmt.Errorf("%+v", p)
					}
				}
				return nil
			})
			worker(t, c)
		})
	}
}

func ids(id int) string {
	return strings.Join([]string{fmt.Sprint(id), fmt.Sprint(id), fmt.Sprint(id), fmt.Sprint(id)}, "\t")
}

func coreLimit(t *testing.T, hostPID int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", hostPID))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			if f := strings.Fields(rest); f[0] != "1" || f[1] != "1" {
				t.Errorf("process %d: core limit %v", hostPID, f)
			}
			return
		}
	}
	t.Errorf("process %d: no core limit in %s", hostPID, data)
}

// session checks that each child leads its own session and process group.
func session(t *testing.T, who string, hostPID, pid int) {
	t.Helper()
	fields := threads(t, hostPID)[0]
	for _, name := range []string{"NSsid", "NSpgid"} {
		f := strings.Fields(fields[name])
		if len(f) == 0 || f[len(f)-1] != fmt.Sprint(pid) {
			t.Errorf("%s, pid %d: %s is %v", who, pid, name, f)
		}
	}
}
