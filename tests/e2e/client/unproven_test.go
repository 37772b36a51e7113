// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

const (
	loot = "/tmp/loot"
	port = "127.0.0.1:18789"
)

// checkRefused checks that neither exec nor tui runs a client with the token, and that
// the same command runs without it.
func checkRefused(t *testing.T, c *harness.Container, reason string) {
	t.Helper()
	health := c.Ctl("health")
	if health.Code != 4 || !strings.Contains(health.Stdout, "not serving: "+reason+": ") {
		t.Errorf("health: %v", health)
	}
	verdict := strings.TrimPrefix(strings.TrimSpace(health.Stdout), "not serving: ")
	for _, args := range [][]string{{"exec", "demotools", "env"}, {"exec", "--client", "revoke-devices"}, {"tui"}} {
		r := c.Ctl(args...)
		if r.Code != 4 || r.Stdout != "" || !strings.Contains(r.Stderr, "gatewayctl: cannot "+args[0]+": "+verdict+"\n") ||
			!strings.Contains(r.Stderr, "gatewayctl exec --no-token CMD runs a command without the token, to find out why\n") {
			t.Errorf("%q: %v, want %s", args, r, verdict)
		}
	}
	if lockHeld(t, c) {
		t.Error("the lock is held")
	}
	checkNoToken(t, c)
}

// checkNoToken checks that exec --no-token runs a command as the operator, without
// a token.
func checkNoToken(t *testing.T, c *harness.Container) {
	t.Helper()
	r := c.ExecFlags([]string{"-e", tokenEnv + "=preset"}, "", nil, "gatewayctl", "exec", "--no-token", "demotools", "env")
	if r.Code != 0 || !strings.Contains(r.Stdout, "USER=operator\n") || strings.Contains(r.Stdout, tokenEnv) || strings.Contains(r.Stdout, c.Token()) {
		t.Errorf("--no-token: %v", r)
	}
	if r := c.Ctl("exec", "--no-token", "demotools", "id"); r.Code != 0 || !strings.Contains(r.Stdout, "uid=9003 euid=9003") {
		t.Errorf("--no-token: %v", r)
	}
	if r := c.Ctl("exec", "--no-token", "--client", "tui"); r.Code != 0 || !strings.Contains(r.Stdout, "bye\n") {
		t.Errorf("--no-token with a client: %v", r)
	}
}

// lockHeld tests the lock as PID 1 does, from the host.
func lockHeld(t *testing.T, c *harness.Container) bool {
	t.Helper()
	f, err := os.Open(c.HostPath("/run/gateway-init/clients.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // releases the lock
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Fatal(err)
	}
	return err != nil
}

// A stopped gateway has no port, so a process that takes the port would get the token.
func TestRefusedStopped(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{})
	checkNoToken(t, c)
	c.MustCtl("stop")
	checkRefused(t, c, "not-running")
	c.MustCtl("start")
	if r := c.Ctl("exec", "--client", "revoke-devices"); r.Code != 0 || !strings.Contains(r.Stdout, "accepts the token") {
		t.Errorf("once it serves: %v", r)
	}
}

// The gateway is killed, and the agent takes its port before the next gateway does.
// gatewayctl knew this, and gave the token away all the same.
func TestRefusedThief(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{})
	token := c.Token()
	c.ExecDetached("sandbox", "demotools", "thief", "-hold", "0", port, loot)
	kill9(t, c.GatewayHostPID())
	harness.Eventually(t, boot, "the thief to have the port", func() error {
		if got := c.FileText(loot); !strings.Contains(got, "take 1\n") {
			return fmt.Errorf("it has %q", got)
		}
		if r := c.Ctl("health"); !strings.Contains(r.Stdout, "listener-foreign") {
			return errors.New(r.Stdout)
		}
		return nil
	})
	checkRefused(t, c, "listener-foreign")
	if strings.Contains(c.FileText(loot), token[:16]) {
		t.Fatal("the thief has the token")
	}
	// The thief records each token that it gets, such as that of this request.
	harness.Eventually(t, boot, "the thief to have the token that it was sent", func() error {
		r := c.HTTP("GET", "/api/whoami", token, "")
		if got := c.FileText(loot); !strings.Contains(got, token) {
			return fmt.Errorf("it answered %+v and has %q", r, got)
		}
		return nil
	})
}

// The agent listens beside a gateway that serves. A client that tries [::1] first
// would reach the agent.
func TestRefusedBeside(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{Extra: harness.IPv6()})
	running := tui(t, c)
	running.WaitFor(greeting, 1, boot)
	c.ExecDetached("sandbox", "demotools", "thief", "-hold", "0", "[::1]:18789", loot)
	harness.Eventually(t, boot, "the agent to listen", func() error {
		if got := c.FileText(loot); !strings.Contains(got, "take 1\n") {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	})
	running.WaitFor("gatewayctl: ended the client: listener-foreign: [::1]:18789 of uid 9002\r\n", 1, boot)
	if code := running.Code(boot); code != 4 {
		t.Errorf("the client that ran already: exit code %d", code)
	}
	checkRefused(t, c, "listener-foreign")
	for _, p := range c.Processes() {
		if p.UID == harness.SandboxUID {
			kill9(t, p.HostPID)
		}
	}
	harness.Eventually(t, boot, "a client to run again", func() error {
		if r := c.Ctl("exec", "demotools", "env"); r.Code != 0 || !strings.Contains(r.Stdout, tokenEnv+"="+c.Token()) {
			return errors.New(r.String())
		}
		return nil
	})
}
