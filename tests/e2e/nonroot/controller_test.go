// SPDX-License-Identifier: Apache-2.0

package nonroot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Root beside a PID 1 that is gateway-init without root looks at its processes and
// believes no file. It says which topology it found, and replaces the gateway from
// outside.
func TestController(t *testing.T) {
	t.Parallel()
	// Root's exec has the container's capabilities. With no-new-privileges, which the
	// README's flags set, it has none.
	flags := []string{"--user", "1000:1000", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--cap-add", "SETUID", "--cap-add", "SETGID", "--cap-add", "KILL"}
	box := harness.Start(t, harness.Options{
		Flags: flags, Extra: harness.OneUserPrograms(t), Command: []string{"demotools", "sleep", "600"},
		Config: map[string]any{"gateway": map[string]any{"reload": map[string]any{"signal": "SIGWINCH"}}}, // the demo gateway survives it
	})
	old := box.WaitServing(serveBy)
	root := func(args ...string) harness.Result {
		return box.ExecFlags([]string{"-i"}, "0:0", nil, append([]string{"gatewayctl"}, args...)...)
	}
	if r := root("status", "-v").Unwrapped(); r.Code != 0 || !strings.Contains(r.Stdout, "topology      non-root") || !strings.Contains(r.Stdout, "pid 1, child of pid 0") {
		t.Errorf("status: %v", r)
	}
	metrics := func(user, what string, parts ...string) {
		t.Helper()
		r := box.ExecFlags([]string{"-i"}, user, nil, "gatewayctl", "metrics")
		for _, part := range parts {
			if r.Code != 0 || !strings.Contains(r.Stdout, "\n"+part+"\n") || !strings.HasSuffix(r.Stdout, "\n# EOF\n") {
				t.Errorf("metrics %s: no %s in %v", what, part, r)
			}
		}
		if user == "0:0" && strings.Contains(r.Stdout, "gateway_init_state{") {
			t.Errorf("root prints a record that it does not believe: %v", r)
		}
	}
	metrics("0:0", "from outside", "gateway_init_up 1", "gateway_init_serving 1", `gateway_init_topology_info{topology="non-root"} 1`)
	if r := root("reload"); r.Code != 0 || r.Stdout != fmt.Sprintf("reloaded: pid %d got the signal, proven\n", old.Gateway.PID) {
		t.Errorf("reload: %v", r)
	}
	if r := root("restart"); r.Code != 0 || !strings.HasPrefix(r.Stdout, fmt.Sprintf("restarted: pid %d → ", old.Gateway.PID)) {
		t.Errorf("restart: %v", r)
	}
	now := box.WaitNewGateway(old.Gateway.Process, serveBy)
	if e := now.LastExit; !e.Requested || e.Failure || now.Crashes != 0 {
		t.Errorf("the exit that root asked for: %+v, %d crashes", e, now.Crashes)
	}
	metrics("1000:1000", "of the user", "gateway_init_up 1", "gateway_init_serving 1", `gateway_init_restarts_total{reason="controller"} 1`, `gateway_init_restarts_total{reason="exited"} 0`)
	if r := root("stop"); r.Code != 0 {
		t.Errorf("stop: %v", r)
	}
	if r := root("recover"); r.Code != 0 {
		t.Errorf("recover: %v", r)
	}
}
