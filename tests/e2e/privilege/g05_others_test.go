package privilege

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatewayinit/tests/harness"
)

// Whoever can write where requests are read controls the gateway. The kernel
// refuses all but root, before a line of ours runs.
func TestScenarioG05(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	old := c.WaitServing(30 * time.Second)
	const fifo = "/run/gateway-init/control/request"
	frame := []byte("v1 " + strings.Repeat("0a", 32) + " restart\n")
	for _, user := range []string{"sandbox", "operator", "gateway", "65534"} {
		if r := c.Exec(user, "/usr/local/bin/gatewayctl", "restart"); r.Code != 126 {
			t.Errorf("%s could execute gatewayctl: %v", user, r)
		}
		for _, args := range [][]string{
			{"write", fifo}, {"rm", fifo}, {"mv", fifo, "/tmp/fifo"}, {"hard", fifo, "/tmp/fifo"},
			{"ls", "/run/gateway-init/control"}, {"cat", "/run/gateway-init/status.json"}, {"fifo", "/run/gateway-init/x", "0666"},
			{"chmod", "/run/gateway-init", "0777"},
		} {
			r := c.ExecInput(user, frame, append([]string{"demotools"}, args...)...)
			if r.Code == 0 || !strings.Contains(r.Stderr, "permission denied") && !strings.Contains(r.Stderr, "not permitted") && !strings.Contains(r.Stderr, "cross-device") {
				t.Errorf("%s, %q: %v", user, args, r)
			}
		}
		// By the host's /proc names of our own descriptors neither.
		for fd := range 20 {
			path := fmt.Sprintf("/proc/1/fd/%d", fd)
			if r := c.ExecInput(user, frame, "demotools", "write", path); r.Code == 0 {
				t.Errorf("%s wrote to %s", user, path)
			}
		}
	}
	now := c.Status()
	if now.Gateway.Process != old.Gateway.Process || now.LastRequest != nil || now.Refused != old.Refused {
		t.Errorf("something arrived: %+v, %+v", now.LastRequest, now.Refused)
	}
	// Where the engine lets others execute it, it refuses by itself.
	plain := harness.Start(t, harness.Options{Flags: []string{}})
	plain.WaitServing(30 * time.Second)
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
