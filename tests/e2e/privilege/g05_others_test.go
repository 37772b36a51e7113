// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario G05. The kernel refuses gatewayctl restart to any user but root,
// before a line of gatewayctl runs.
//
// A process that can write requests controls the gateway. The kernel allows only
// root to do that.
func TestOnlyRootMayRequest(t *testing.T) {
	c := harness.Look(t, "readme", harness.Options{})
	old := c.Status()
	const fifo = "/run/gateway-init/control/request"
	frame := "v1 " + strings.Repeat("0a", 32) + " restart\n"
	for _, user := range []string{"sandbox", "operator", "gateway", "65534"} {
		if r := c.Exec(user, "/usr/local/bin/gatewayctl", "restart"); r.Code != 126 {
			t.Errorf("%s could execute gatewayctl: %v", user, r)
		}
		var calls []harness.Call
		for _, args := range [][]string{
			{"write", fifo}, {"rm", fifo}, {"mv", fifo, "/tmp/fifo"}, {"hard", fifo, "/tmp/fifo"},
			{"ls", "/run/gateway-init/control"}, {"cat", "/run/gateway-init/status.json"}, {"fifo", "/run/gateway-init/x", "0666"},
			{"chmod", "/run/gateway-init", "0777"},
		} {
			calls = append(calls, harness.Call{Args: append([]string{"demotools"}, args...), Stdin: frame})
		}
		names := len(calls)
		// It cannot use the /proc names of PID 1's own descriptors either.
		for fd := range 20 {
			calls = append(calls, harness.Call{Args: []string{"demotools", "write", fmt.Sprintf("/proc/1/fd/%d", fd)}, Stdin: frame})
		}
		for i, r := range c.Batch(user, calls...) {
			if r.Code == 0 || i < names && !strings.Contains(r.Stderr, "permission denied") && !strings.Contains(r.Stderr, "not permitted") && !strings.Contains(r.Stderr, "cross-device") {
				t.Errorf("%s, %q: %v", user, calls[i].Args, r)
			}
		}
	}
	now := c.Status()
	if now.Gateway.Process != old.Gateway.Process || now.LastRequest != nil || now.Refused != old.Refused {
		t.Errorf("something arrived: %+v, %+v", now.LastRequest, now.Refused)
	}
	// If the engine lets other users execute it, gatewayctl refuses by itself.
	plain := harness.Look(t, "plain", harness.Options{Flags: []string{}})
	for _, verb := range []string{"restart", "recover", "stop", "start", "probe", "token"} {
		if r := plain.Exec("sandbox", "/usr/local/bin/gatewayctl", verb); r.Code != 3 && r.Code != 126 {
			t.Errorf("gatewayctl %s as sandbox: %v", verb, r)
		}
	}
	if r := plain.Status(); r.LastRequest != nil || r.Restarts != 0 {
		t.Errorf("something arrived: %+v", r.LastRequest)
	}
	for _, verb := range []string{"tui", "exec"} {
		if r := plain.Exec("sandbox", "/usr/local/bin/gatewayctl", verb, "demotools", "env"); r.Code != 3 && r.Code != 126 || r.Stdout != "" {
			t.Errorf("gatewayctl %s as sandbox: %v", verb, r)
		}
	}
}
