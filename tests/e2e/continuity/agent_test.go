// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// agentsFile is the gateway's configuration, in a directory that the agent owns. The
// demo gateway reads it because DEMO_MISBEHAVE names it.
const agentsFile = "/sandbox/gateway.json"

// agentContainer runs a gateway whose configuration the agent owns. deadline bounds
// a start that cannot succeed.
func agentContainer(t *testing.T, deadline string) *harness.Container {
	t.Helper()
	return harness.Start(t, harness.Options{
		Command: []string{"demotools", "sleep", "3600"},
		Env:     map[string]string{"DEMO_MISBEHAVE": agentsFile},
		Extra:   []string{"--tmpfs", fmt.Sprintf("/sandbox:uid=%d,mode=0755", harness.UID(t, harness.SandboxUID))},
		Config: map[string]any{"gateway": map[string]any{
			"ready": map[string]any{"timeout": deadline}, "stop": map[string]any{"grace": "2s"},
		}},
	})
}

// agentWrites writes text to agentsFile as the agent.
func agentWrites(t *testing.T, c *harness.Container, text string) {
	t.Helper()
	if r := c.ExecInput("sandbox", []byte(text), "demotools", "write", agentsFile); r.Code != 0 {
		t.Fatal(r)
	}
}

// Scenario L18. Whatever the agent writes into its own configuration, it
// never blocks a relaunch.
//
// The agent changed its own configuration, and a guard refused to start the
// gateway again (#7801, #8614). Only the gateway may judge the file's content.
func TestAgentConfigNeverBlocksRelaunch(t *testing.T) {
	t.Parallel()
	remove := func(t *testing.T, c *harness.Container) { c.Tools("sandbox", "rmtmp", "/sandbox") }
	write := func(text string) func(*testing.T, *harness.Container) {
		return func(t *testing.T, c *harness.Container) {
			remove(t, c)
			agentWrites(t, c, text)
		}
	}
	// The gateway serves with each of these.
	for name, change := range map[string]func(t *testing.T, c *harness.Container){
		"other-values": write(`{"delay":"1ms"}`),
		"empty-object": write("{}"),
		"removed":      remove,
		"large":        write("{" + strings.Repeat(" ", 4<<20) + "}"),
		"link-to-nothing": func(t *testing.T, c *harness.Container) {
			remove(t, c)
			c.Tools("sandbox", "ln", "/no/such/file", agentsFile)
		},
		"not-readable": func(t *testing.T, c *harness.Container) {
			write("{}")(t, c)
			c.Tools("sandbox", "chmod", agentsFile, "0000")
		},
		"hard-link-and-mode": func(t *testing.T, c *harness.Container) {
			write("{}")(t, c)
			c.Tools("sandbox", "hard", agentsFile, "/sandbox/other")
			c.Tools("sandbox", "chmod", agentsFile, "0777")
		},
		"changing-all-the-time": func(t *testing.T, c *harness.Container) {
			write("{}")(t, c)
			for range 20 {
				agentWrites(t, c, `{"delay":"2ms"}`)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := agentContainer(t, "30s")
			pid1 := c.HostPID()
			c.WaitServing(boot)
			for range 2 {
				change(t, c)
				checkRestarted(t, c.Ctl("restart"))
			}
			if err := answers(c); err != nil {
				t.Error(err)
			}
			checkLives(t, c, pid1)
		})
	}
}

// Scenario L18, a broken configuration. The gateway itself cannot serve with
// these. The reason is reported, and once the file is good again one command, or
// patience, is enough.
func TestBrokenAgentConfigIsReported(t *testing.T) {
	t.Parallel()
	plant := func(args ...string) func(*testing.T, *harness.Container) {
		return func(_ *testing.T, c *harness.Container) {
			c.Tools("sandbox", "rmtmp", "/sandbox")
			c.Tools("sandbox", args...)
		}
	}
	write := func(text string) func(*testing.T, *harness.Container) {
		return func(t *testing.T, c *harness.Container) { agentWrites(t, c, text) }
	}
	for name, try := range map[string]struct {
		change func(t *testing.T, c *harness.Container)
		reason string
	}{
		"garbage":         {write("{\x00]"), "exited"},
		"empty":           {write(""), "exited"},
		"directory":       {plant("mkdir", agentsFile, "0755"), "exited"},
		"binary-link":     {plant("ln", "/usr/local/bin/demotools", agentsFile), "exited"},
		"fifo":            {plant("fifo", agentsFile, "0666"), "listener-missing"}, // it waits for a writer
		"exit-0":          {write(`{"start_exit":0}`), "exited"},
		"own-token":       {write(`{"token_mode":"other"}`), "auth-mismatch"},
		"no-token":        {write(`{"token_mode":"none"}`), "auth-mismatch"},
		"other-port":      {write(`{"listen":"127.0.0.1:1999"}`), "listener-missing"},
		"never-ready":     {write(`{"not_ready":true}`), "health-timeout"},
		"ignores-sigterm": {write(`{"ignore_term":true,"not_ready":true}`), "health-timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := agentContainer(t, "5s")
			pid1 := c.HostPID()
			c.WaitServing(boot)
			try.change(t, c)
			r := wait(t, async(c, "restart"), time.Minute)
			if r.Code == 0 || !strings.Contains(r.Stderr, ": "+try.reason+": ") {
				t.Errorf("restart with a broken configuration: want %s: %v", try.reason, r)
			}
			c.Tools("sandbox", "rmtmp", "/sandbox")
			agentWrites(t, c, "{}")
			checkRestarted(t, wait(t, async(c, "restart"), time.Minute))
			if err := answers(c); err != nil {
				t.Error(err)
			}

			// recover, which does less than restart, must be enough too.
			try.change(t, c)
			if r := wait(t, async(c, "restart"), time.Minute); r.Code == 0 {
				t.Errorf("second restart with a broken configuration: %v", r)
			}
			c.Tools("sandbox", "rmtmp", "/sandbox")
			agentWrites(t, c, "{}")
			r = wait(t, async(c, "recover"), time.Minute)
			switch {
			case try.reason == "auth-mismatch":
				// It may serve clients with its own token, so only a requested
				// restart ends it. recover says so.
				if r.Code == 0 || !strings.Contains(r.Stderr, "gatewayctl restart") {
					t.Errorf("recover: want a hint to restart: %v", r)
				}
				checkRestarted(t, wait(t, async(c, "restart"), time.Minute))
			case try.reason == "exited" && r.Code != 0:
				t.Errorf("recover: %v", r)
			}
			c.WaitServing(time.Minute)
			checkLives(t, c, pid1)
		})
	}
}

// Scenario L18, the state. An agent that reaches the gateway can make it change
// its own state.
func TestChangedAgentStateNeverBlocksRelaunch(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(boot)
	for name, do := range map[string]func(dir string) error{
		"files": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "state.db"), make([]byte, 1<<20), 0o644)
		},
		"modes": func(dir string) error { return os.Chmod(dir, 0o777) },
		"owner": func(dir string) error { return os.Chown(dir, int(harness.UID(t, harness.GatewayUID)), 0) },
		"links": func(dir string) error { return os.Symlink("/", filepath.Join(dir, "link")) },
		"deep":  func(dir string) error { return os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", 200)), 0o700) },
	} {
		if err := do(c.StateDir()); err != nil {
			t.Fatal(name, err)
		}
		if r := c.Ctl("restart"); r.Code != 0 {
			t.Errorf("restart after %s were changed: %v", name, r)
		}
	}
}
