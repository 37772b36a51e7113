// SPDX-License-Identifier: Apache-2.0

package leaks

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// withSidecars returns a configuration with two sidecars of the gateway's user. One has
// the token and sleeps. The other lists all processes that it can read, and ends.
func withSidecars(confine string) map[string]any {
	tool := "/usr/local/bin/demotools"
	return map[string]any{
		"gateway": map[string]any{"confine": confine},
		"sidecars": []any{
			map[string]any{"name": "sleeper", "command": []string{tool, "sleep", "3600"}, "user": "gateway", "token_env": "SLEEPER_TOKEN"},
			map[string]any{"name": "lister", "command": []string{tool, "ps"}, "user": "gateway", "restart": "never"},
		},
	}
}

// startFamily starts a gateway with a child, and returns the pids of its processes that
// have the token and a readable program.
func startFamily(t *testing.T, confine string) (c *harness.Container, child, sidecar int) {
	t.Helper()
	c = start(t, harness.Options{Config: withSidecars(confine)})
	c.Misbehave(map[string]any{"child": "/usr/local/bin/demotools"})
	harness.Eventually(t, boot, "a child of the gateway and a sidecar of its user", func() error {
		r := c.Status()
		child, sidecar = 0, 0
		for _, s := range r.Sidecars {
			if s.Name == "sleeper" && s.State == status.Running {
				sidecar = s.PID
			}
		}
		for _, p := range c.Processes() {
			if p.UID == harness.GatewayUID && p.Comm == "demotools" && p.PID != sidecar && p.HostParent == c.GatewayHostPID() {
				child = p.PID
			}
		}
		if child == 0 || sidecar == 0 {
			return fmt.Errorf("child %d, sidecar %d of %+v", child, sidecar, r.Sidecars)
		}
		return nil
	})
	return c, child, sidecar
}

// TestEnvironmentOpenInChildren checks what hardening names environment-open-in-children.
// A child of the gateway inherits its environment, and its program is readable, as git and
// a shell are. So the kernel lets the gateway's user read it, and the agent gets the token
// through the gateway. The same holds for a sidecar of the gateway's user.
func TestEnvironmentOpenInChildren(t *testing.T) {
	c, child, sidecar := startFamily(t, "none")
	for _, pid := range []int{child, sidecar} {
		a, err := read(c, fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !strings.Contains(a.Text, c.Token()) {
			t.Errorf("code %d, %d bytes, %s, %v: the environment has no token", a.Code, len(a.Text), a.Error, err)
		}
	}
	if n := listed(t, c); n < 3 {
		t.Errorf("a sidecar that is not confined lists %d processes", n)
	}
	c.MustCtl("restart")
	c.WaitStatus(20*time.Second, "the end of the child with its gateway", func(v harness.View) error {
		for _, p := range c.Processes() {
			if p.PID == child {
				return fmt.Errorf("it is there: %+v", p)
			}
		}
		return nil
	})
}

// Invariant I10, the gateway's family. With gateway.confine the kernel refuses the
// gateway's file tools every file in /proc of its children, of PID 1, and of sidecars of
// its user. Such a sidecar is confined, too. The gateway's own files stay open to it.
func TestConfinedGatewayReadsNoOtherProcess(t *testing.T) {
	c, child, sidecar := startFamily(t, "proc")
	for _, dir := range []string{fmt.Sprintf("/proc/%d", child), fmt.Sprintf("/proc/%d/task/%d", child, child), fmt.Sprintf("/proc/%d/root/proc/%d", child, child),
		fmt.Sprintf("/proc/%d", sidecar), "/proc/1"} {
		for _, name := range []string{"environ", "mem", "maps", "auxv", "stat", "status", "cmdline"} {
			if a, err := read(c, dir+"/"+name); err != nil || !refusedBy(a) {
				t.Errorf("%s/%s: code %d, %d bytes, %s, %v", dir, name, a.Code, len(a.Text), a.Error, err)
			}
		}
	}
	// A sidecar has another domain than the gateway, so its descriptors are closed, too.
	for _, link := range []string{"fd/0", "fd/1", "exe", "cwd/run"} {
		if a, err := read(c, fmt.Sprintf("/proc/%d/%s", sidecar, link)); err != nil || !refusedBy(a) {
			t.Errorf("%s of a sidecar: code %d, %s, %v", link, a.Code, a.Error, err)
		}
	}
	for _, path := range []string{"/proc/self/stat", "/proc/self/maps", "/proc/thread-self/status", "/proc/meminfo", "/etc/passwd"} {
		if a, err := read(c, path); err != nil || a.Code != 200 || a.Text == "" {
			t.Errorf("%s: code %d, %s, %v", path, a.Code, a.Error, err)
		}
	}
	if n := listed(t, c); n != 1 {
		t.Errorf("a confined sidecar lists %d processes, not only itself", n)
	}
}

// listLine is a line of demotools ps.
var listLine = regexp.MustCompile(`(?m)^\d+ \d+ \S+ [A-Z] \d+ "`)

// listed waits for the list of the sidecar lister, and returns the number of processes in it.
func listed(t *testing.T, c *harness.Container) (n int) {
	t.Helper()
	harness.Eventually(t, boot, "the list of a sidecar", func() error {
		log := c.Logs()
		if n = len(listLine.FindAllString(log, -1)); n == 0 || !strings.Contains(log, `"origin":"lister","event":"sidecar-exited"`) {
			return errors.New("it is not there")
		}
		return nil
	})
	return n
}
