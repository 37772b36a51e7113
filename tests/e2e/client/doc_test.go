// SPDX-License-Identifier: Apache-2.0

// Package client runs clients of the gateway in containers: gatewayctl exec, tui
// and restart --revoke-devices, as a user runs them with docker exec.
package client

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// boot bounds each start and each end.
const boot = 30 * time.Second

const (
	ctrlC    = "\x03"
	tokenEnv = "OPENCLAW_GATEWAY_TOKEN"
	greeting = "type a line, or exit"
)

// startServing starts a container and waits until its gateway serves.
func startServing(t *testing.T, o harness.Options) *harness.Container {
	t.Helper()
	c := harness.Start(t, o)
	c.WaitServing(boot)
	return c
}

// tui runs docker exec -it C gatewayctl tui ARGS on a new terminal.
func tui(t *testing.T, c *harness.Container, args ...string) *harness.Terminal {
	t.Helper()
	all := append([]string{"exec", "-it", "-e", "TERM=xterm-256color", c.Name, "gatewayctl", "tui"}, args...)
	return harness.OpenTerminal(t, pty.Winsize{Rows: 33, Cols: 111}, all...)
}

// operators returns the processes of the operator's uid, without zombies.
func operators(c *harness.Container) (all []harness.Process) {
	for _, p := range c.Processes() {
		if p.UID == harness.OperatorUID && !strings.HasPrefix(p.State, "Z") {
			all = append(all, p)
		}
	}
	return all
}

// onlyClient waits for the operator's only process and returns it.
func onlyClient(t *testing.T, c *harness.Container) harness.Process {
	t.Helper()
	var found harness.Process
	harness.Eventually(t, boot, "a client", func() error {
		all := operators(c)
		if len(all) != 1 {
			return fmt.Errorf("the operator has %v", all)
		}
		found = all[0]
		return nil
	})
	return found
}

// waitNoClients waits until no client and no relay is left.
func waitNoClients(t *testing.T, c *harness.Container) {
	t.Helper()
	harness.Eventually(t, boot, "client and relay to be gone", func() error {
		for _, p := range c.Processes() {
			if p.UID == harness.OperatorUID || p.Comm == "gatewayctl" {
				return fmt.Errorf("there is %v", p)
			}
		}
		return nil
	})
}

// checkNoHomes checks that no temporary home is left.
func checkNoHomes(t *testing.T, c *harness.Container) {
	t.Helper()
	for _, dir := range []string{"/dev/shm", "/tmp"} {
		left, err := filepath.Glob(c.HostPath(dir) + "/.gatewayctl*")
		if err != nil || len(left) > 0 {
			t.Errorf("left: %q, %v", left, err)
		}
	}
}

// environ returns a process's environment, as root on the host reads it.
func environ(t *testing.T, hostPID int) []string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", hostPID))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

var (
	tokenEntry = regexp.MustCompile(`^` + tokenEnv + `=[0-9a-f]{64}$`)
)
