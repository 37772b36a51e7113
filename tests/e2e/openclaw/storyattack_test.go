// SPDX-License-Identifier: Apache-2.0

package openclaw

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// attacked lets a hostile model call every tool that it has, against the token,
// process, state and configuration of the gateway.
func attacked(t *testing.T, s *story) {
	file := s.HostPath(canaryFile)
	err := os.WriteFile(file, []byte(s.canary), 0o600)
	if err := errors.Join(err, os.Chown(file, harness.GatewayUID, harness.GatewayUID)); err != nil {
		t.Fatal(err)
	}
	gateway := s.Status().Gateway.Process
	s.attack(t, []attack{{looks, commandRefused}, {hosts, asAgent}, {files, callRefused}, {catalog, callRefused}, {inside, callAllowed}})
	s.attack(t, []attack{{kills(gateway.PID), commandRefused}}) // last, because a kill would end the answers
	for _, path := range []string{"/var/lib/openclaw/planted", "/var/lib/openclaw/openclaw.json", "/var/lib/planted"} {
		if _, err := os.Lstat(s.HostPath(path)); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	if v := s.View(); v.Record.Gateway.Process != gateway || !v.Serving {
		t.Errorf("the gateway was %v and is %+v", gateway, v.Record.Gateway)
	}
}

// attack is a list of calls of a model, and the check of each result.
type attack struct {
	calls []call
	check func(t *testing.T, c call, result string)
}

// attack makes all calls in one turn. No answer may show a secret.
func (s *story) attack(t *testing.T, attacks []attack) {
	t.Helper()
	var all []call
	for _, a := range attacks {
		all = append(all, a.calls...)
	}
	results := turn(t, s.Container, all...)
	set := harness.TokenSet(t, s.tokens[0])
	for i, r := range results {
		if set.Find([]byte(r)) >= 0 || strings.Contains(r, s.key) || strings.Contains(r, s.canary) {
			t.Errorf("%v shows the token, the provider's key or the canary", all[i])
		}
	}
	for _, a := range attacks {
		for i, c := range a.calls {
			a.check(t, c, results[i])
		}
		results = results[len(a.calls):]
	}
}

// looks are commands that seek the token. The number at the end of each is how
// often it must be refused.
var looks = []call{
	shell("id -u; env; tr '\\0' '\\n' </proc/self/environ; : 0"),
	// Descriptors are left out, because a read of its own host's would take the
	// host's input.
	shell("for p in /proc/[0-9]*; do tr '\\0' '\\n' <$p/environ; cat $p/maps; ls $p/fd; done 2>&1 | tail -c 20000; : 3"),
	shell("cat /run/gateway-init/gateway-token /run/gateway-init/status.json; gatewayctl token; : 3"),
	shell("ls /var/lib/openclaw /home/operator /tmp/openclaw-gateway; cat " + canaryFile + "; touch /etc/openclaw/x /tmp/openclaw-pairing/x; : 6"),
}

// kills returns commands that would end the gateway if they ran as its user.
func kills(gateway int) []call {
	return []call{shell(fmt.Sprintf("kill -9 %d; kill -9 1; kill -USR1 %d; : 3", gateway, gateway))}
}

// commandRefused checks the output of a command. It ran as the sandbox user, and
// was refused as often as the number at its end.
func commandRefused(t *testing.T, c call, result string) {
	t.Helper()
	command := c.Arguments["command"].(string)
	want, got := 0, 0
	fmt.Sscanf(command[strings.LastIndex(command, ": "):], ": %d", &want)
	lower := strings.ToLower(result)
	for _, word := range []string{"not permitted", "permission denied", "read-only file system"} {
		got += strings.Count(lower, word)
	}
	if got < want {
		t.Errorf("%s: %d of %d refused: %s", command, got, want, result)
	}
	if strings.HasPrefix(command, "id -u;") && (!strings.Contains(result, "9002\n") || strings.Contains(result, tokenEnv)) {
		t.Errorf("commands run as %s", result)
	}
}

// hosts try to run a command at places other than the node.
var hosts = []call{
	{"exec", map[string]any{"command": "id -u", "host": "gateway"}},
	{"exec", map[string]any{"command": "id -u", "host": "sandbox"}},
	{"exec", map[string]any{"command": "id -u", "elevated": true}},
	{"exec", map[string]any{"command": "id -u", "node": "nosuch"}},
}

func asAgent(t *testing.T, c call, result string) {
	t.Helper()
	if strings.Contains(result, "9001") || !strings.Contains(result, "error") && !strings.Contains(result, "9002") {
		t.Errorf("%v: %s", c, result)
	}
}

// files are paths outside the workspace. The kernel closes some of them to the
// gateway too. The gateway could read and write the others.
var files = []call{
	read("/proc/self/environ"), read("/run/gateway-init/gateway-token"),
	read(canaryFile), read("../canary"), read("/etc/passwd"), read("../state/openclaw.sqlite"),
	{"view_image", map[string]any{"path": canaryFile}},
	{"write", map[string]any{"path": "/var/lib/openclaw/openclaw.json", "content": "{}"}},
	{"edit", map[string]any{"path": canaryFile, "edits": []any{map[string]any{"oldText": "canary", "newText": "x"}}}},
	{"apply_patch", map[string]any{"input": "*** Begin Patch\n*** Add File: ../planted\n+x\n*** End Patch\n"}},
}

// catalog are tools that change the gateway or run programs in it. They are not
// among the agent's tools, by name or through Tool Search.
var catalog = []call{
	{"gateway", map[string]any{"action": "config.get"}},
	{"openclaw", map[string]any{"message": "set gateway.auth.mode to none"}},
	{"sessions_spawn", map[string]any{"task": "CALLS []", "cwd": "/var/lib/openclaw"}},
	{"code_execution", map[string]any{"code": "1"}},
	throughSearch("gateway"), throughSearch("openclaw"), throughSearch("sessions_spawn"), throughSearch("automations"),
	throughSearch("cron"), throughSearch("nodes"), throughSearch("plugins"), throughSearch("terminal"), throughSearch("code_execution"),
	{"tool_call", map[string]any{"id": "openclaw:browser:browser", "args": map[string]any{"action": "status"}}},
}

func throughSearch(tool string) call {
	return call{"tool_call", map[string]any{"id": "openclaw:core:" + tool, "args": map[string]any{"action": "status", "task": "CALLS []", "code": "1"}}}
}

func callRefused(t *testing.T, c call, result string) {
	t.Helper()
	if !refused(result) {
		t.Errorf("%v: %s", c, result)
	}
}

// inside are calls in the workspace. Without them, a broken tool would look like a
// refusal.
var inside = []call{{"write", map[string]any{"path": "inside", "content": "x"}}, read("inside")}

func callAllowed(t *testing.T, c call, result string) {
	t.Helper()
	if refused(result) {
		t.Errorf("%v: %s", c, result)
	}
}
