// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// place is a directory of the host, mounted where a user of the container keeps
// files. It can be searched there.
type place struct {
	path string
	uid  int
	dir  string
}

// Scenario T01, with OpenClaw. The token is only where it belongs, whatever happens
// in the container. The test searches the files of the agent's users from the host,
// as root.
func TestOpenClawTokenNeverLeaks(t *testing.T) {
	takePlace(t)
	o := options(t, nil, nil)
	o.Flags = harness.ReadmeFlags()
	places := []place{
		{"/var/lib/openclaw", harness.GatewayUID, ""}, {"/sandbox", harness.SandboxUID, ""}, {"/home/operator", harness.OperatorUID, ""},
	}
	for i, p := range places {
		places[i].dir = harness.HostDir(t, fmt.Sprint("place", p.uid), p.uid, 0o700)
		o.Extra = append(o.Extra, "-v", places[i].dir+":"+p.path)
	}
	c := harness.Start(t, o)
	c.WaitServing(ready)
	waitTools(t, c)
	tokens := []string{c.Token()}
	look := func(when string) {
		t.Helper()
		t.Log("looking", when)
		c.NoToken(when, tokens...)
		n := 0
		for _, p := range places {
			n += harness.NoTokenBelow(t, when, p.dir, tokens...)
		}
		// No export has these, and the agent may not read all of them.
		n += harness.NoTokenBelow(t, when, c.HostPath("/tmp"), tokens...) + harness.NoTokenBelow(t, when, c.HostPath("/dev/shm"), tokens...)
		if n < 10 {
			t.Errorf("%s: only %d files to look at", when, n)
		}
		for _, token := range tokens {
			noTokenInMemory(t, c, when, token)
		}
	}
	look("after the first start")
	tui(t, c)
	look("after a terminal UI session")
	turn(t, c, shell("env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'"), call{"read", map[string]any{"path": "/proc/self/environ"}})
	look("after tool calls")
	// The vendor's repair command, as each user that could run it (T04).
	for _, r := range []harness.Result{
		client(c, "openclaw", "doctor", "--fix", "--yes", "--non-interactive"),
		c.ExecFlags([]string{"-e", "HOME=/var/lib/openclaw", "-e", "OPENCLAW_STATE_DIR=/var/lib/openclaw", "-e", "OPENCLAW_CONFIG_PATH=/etc/openclaw/openclaw.json",
			"-e", "TMPDIR=/tmp/openclaw-gateway"}, "gateway", nil, "openclaw", "doctor", "--fix", "--yes", "--non-interactive"),
		c.ExecFlags([]string{"-e", "HOME=/sandbox"}, "sandbox", nil, "openclaw", "doctor", "--fix", "--yes", "--non-interactive"),
	} {
		if len(r.Stdout+r.Stderr) < 100 {
			t.Errorf("the vendor's doctor did nothing: %v", r)
		}
	}
	look("after the vendor's doctor")
	c.MustCtl("restart", "--timeout", "4m")
	c.MustCtl("restart", "--rotate-token", "--timeout", "4m")
	tokens = append(tokens, c.Token())
	look("after a restart and a rotation")
	// pair had the token in its environment, and the owner of the port is unknown
	// after a crash.
	tokens = append(tokens, crashUnderPair(t, c))
	look("after a crash")
	c.Stop()
	c.StartAgain()
	c.WaitServing(ready)
	tokens = append(tokens, c.Token())
	look("after docker stop and start")
}

// crashUnderPair ends the gateway while pair has the token. pair is killed with it,
// the next gateway has a new token, and pair removes what its former run left. It
// returns the new token.
func crashUnderPair(t *testing.T, c *harness.Container) string {
	t.Helper()
	before, old := c.Token(), c.Status().Gateway.Process
	c.WaitStatus(ready, "pair to run", func(v harness.View) error {
		for _, s := range v.Record.Sidecars {
			if s.Name == "pair" && s.PID != 0 {
				return nil
			}
		}
		return fmt.Errorf("%+v", v.Record.Sidecars)
	})
	signal(c, old.PID, "SEGV")
	c.WaitNewGateway(old, ready)
	after := c.Token()
	if after == before {
		t.Error("the token is that of the gateway that crashed while pair had it")
	}
	waitTools(t, c)
	if r := c.Exec("operator", "ls", "-A", "/tmp/openclaw-pairing"); r.Code != 0 || r.Stdout != "" {
		t.Errorf("pair left: %v", r)
	}
	return after
}

// Scenario T05, with OpenClaw. A client without a token opened a page that said
// "unauthorized".
func TestUnreadableOpenClawTokenIsExplained(t *testing.T) {
	c := shared(t)
	path := c.HostPath("/run/gateway-init/gateway-token")
	for _, try := range []struct {
		name  string
		write func(t *testing.T)
		word  string
	}{
		{"empty", func(t *testing.T) { rewrite(t, path, "") }, "empty"},
		{"short", func(t *testing.T) { rewrite(t, path, "abc") }, "malformed"},
		{"changed", func(t *testing.T) { replace(t, path, strings.Repeat("7", 64)) }, "changed"},
	} {
		t.Run(try.name, func(t *testing.T) {
			c := c.For(t)
			try.write(t)
			for _, args := range [][]string{{"token"}, {"token", "--url", "http://localhost:18789"}, {"exec", "--no-tty", "--", "openclaw", "--version"}} {
				r := c.Ctl(args...)
				if r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "gateway-token: "+try.word) {
					t.Errorf("gatewayctl %v: %v", args, r)
				}
			}
		})
	}
	// All messages name this command.
	c.MustCtl("restart", "--rotate-token", "--timeout", "4m")
	if got := authenticates(c, c.MustCtl("token")); got != 404 {
		t.Errorf("the new token gets %d", got)
	}
}

// Scenario T06, with OpenClaw. No gateway runs without our token.
func TestOpenClawNeverRunsWithoutToken(t *testing.T) {
	takePlace(t)
	for name, flag := range map[string]string{
		"too-small": "/run/gateway-init:mode=0711,size=4k",
		"read-only": "/run/gateway-init:ro,mode=0711",
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, nil, nil)
			o.Flags = append([]string{"--tmpfs", flag}, "--read-only", "--tmpfs", "/tmp")
			c, r := harness.TryStart(t, o)
			if r.Code != 0 {
				t.Fatalf("the engine: %v", r)
			}
			if code := c.WaitExit(time.Minute); code != 1 {
				t.Errorf("exit code %d", code)
			}
			log := c.Logs()
			if !strings.Contains(log, "gateway-init: cannot") || strings.Contains(log, "gateway-started") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// Scenario T07, with OpenClaw. The old token is refused after the rotation.
func TestOpenClawRefusesTheOldToken(t *testing.T) {
	c := shared(t)
	before := c.Token()
	if got := authenticates(c, before); got != 404 {
		t.Fatalf("the token gets %d", got)
	}
	c.MustCtl("restart", "--rotate-token", "--timeout", "4m")
	after := c.Token()
	if before == after {
		t.Fatal("the token is the same")
	}
	for name, try := range map[string]struct {
		token string
		want  int
	}{"old": {before, 401}, "new": {after, 404}, "none": {"", 401}} {
		if got := authenticates(c, try.token); got != try.want {
			t.Errorf("%s: %d, want %d", name, got, try.want)
		}
	}
}

// Scenario T08. With an older image and a newer host tool, and the other way
// round, the token is shown, or the message names the upgrade.
//
// A gatewayctl of another release shows the token all the same, and says that
// the two differ.
func TestOtherReleaseShowsTheToken(t *testing.T) {
	c := shared(t)
	if r := c.Exec("", "gatewayctl-other", "token"); r.Code != 0 || strings.TrimSpace(r.Stdout) != c.Token() {
		t.Errorf("token: exit code %d, %d bytes, %s", r.Code, len(r.Stdout), r.Stderr)
	}
	r := c.Exec("", "gatewayctl-other", "version")
	if r.Code != 0 || !strings.Contains(r.Stdout, "v0.0.1-other") || !strings.Contains(r.Stdout, "rebuild the image") {
		t.Errorf("version: %v", r)
	}
}

// TestRevokeDevices revokes the device token that the terminal UI gets for the
// shared token. It has all rights, and a rotation does not revoke it.
func TestRevokeDevices(t *testing.T) {
	c := shared(t)
	waitTools(t, c)
	tui(t, c)
	c.MustCtl("restart", "--rotate-token", "--timeout", "4m")
	// A thief of the operator's files would use it this way: without the token.
	stored := func() harness.Result {
		return c.ExecFlags([]string{"-e", "HOME=/home/operator", "-e", "OPENCLAW_GATEWAY_PORT=18789"}, "operator", nil,
			"openclaw", "gateway", "call", "health", "--json")
	}
	if r := stored(); r.Code != 0 || !strings.Contains(r.Stdout, `"ok"`) {
		t.Fatalf("the device token did not survive the rotation: %v", r)
	}
	r := c.Ctl("restart", "--rotate-token", "--revoke-devices", "--timeout", "4m")
	if r.Code != 0 || !strings.Contains(r.Stderr, "removed") {
		t.Fatalf("%v", r)
	}
	if r := stored(); r.Code == 0 {
		t.Errorf("the stored device token still works: %v", r)
	}
	if r := client(c, "openclaw", "devices", "list", "--json"); r.Code != 0 || strings.Contains(r.Stdout, "operator") || !strings.Contains(r.Stdout, "sandbox") {
		t.Errorf("devices: %v", r)
	}
	waitTools(t, c)
	tui(t, c) // pairs again, with the shared token
}
