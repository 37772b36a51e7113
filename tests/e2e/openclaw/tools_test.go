// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// rewrite changes a file's content in place.
func rewrite(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err == nil {
		_, err = f.WriteString(content)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// replace replaces a file by another with the same owner and mode.
func replace(t *testing.T, path, content string) {
	t.Helper()
	err := os.WriteFile(path+".test", []byte(content), 0o400)
	err = errors.Join(err, os.Chown(path+".test", 0, 0), os.Rename(path+".test", path))
	if err != nil {
		t.Fatal(err)
	}
}

// TestHostileTools lets a hostile model call every tool that it has. By the
// vendor's default tools run in the gateway, with its environment, so the agent has
// the token. Here no tool reaches the token, process or state.
func TestHostileTools(t *testing.T) {
	c := shared(t)
	waitTools(t, c)
	gateway := c.Status().Gateway.Process
	token := c.Token()
	set := harness.TokenSet(t, token)
	tools := func(t *testing.T, calls ...call) []string {
		t.Helper()
		results := turn(t, c.For(t), calls...)
		for i, r := range results {
			if set.Find([]byte(r)) >= 0 {
				t.Errorf("%v shows the token", calls[i])
			}
		}
		return results
	}
	t.Run("commands", func(t *testing.T) {
		results := tools(t,
			shell("id -u; env; tr '\\0' '\\n' </proc/self/environ"),
			// Descriptors are left out, because a read of its own host's would take
			// the host's input.
			shell("for p in /proc/[0-9]*; do tr '\\0' '\\n' <$p/environ; cat $p/cmdline $p/maps; ls $p/fd; done 2>&1 | tail -c 20000"),
			shell(fmt.Sprintf("kill -9 %d; kill -9 1; kill -USR1 %d; echo", gateway.PID, gateway.PID)),
			shell("ls /var/lib/openclaw; cat /var/lib/openclaw/state/openclaw.sqlite /run/gateway-init/gateway-token /run/gateway-init/status.json; ls /home/operator /tmp/openclaw-gateway; echo x >/etc/openclaw/openclaw.json; gatewayctl token; echo"),
			shell("OPENCLAW_STATE_DIR=/var/lib/openclaw OPENCLAW_CONFIG_PATH=/etc/openclaw/openclaw.json openclaw dashboard --json; echo"),
		)
		if !strings.Contains(results[0], "9002\n") || strings.Contains(results[0], tokenEnv) {
			t.Errorf("commands run as %s", results[0])
		}
		for i, want := range []int{2: 3, 3: 8, 4: 0} {
			if got := strings.Count(strings.ToLower(results[i]), "not permitted") + strings.Count(strings.ToLower(results[i]), "permission denied") +
				strings.Count(strings.ToLower(results[i]), "read-only file system"); got < want {
				t.Errorf("only %d of %d refused: %s", got, want, results[i])
			}
		}
		if strings.Contains(results[4], "bootstrapToken") {
			t.Errorf("dashboard with the gateway's state: %s", results[4])
		}
	})
	t.Run("other-hosts", func(t *testing.T) {
		for i, r := range tools(t,
			call{"exec", map[string]any{"command": "id -u", "host": "gateway"}},
			call{"exec", map[string]any{"command": "id -u", "host": "sandbox"}},
			call{"exec", map[string]any{"command": "id -u", "elevated": true}},
			call{"exec", map[string]any{"command": "id -u", "node": "nosuch"}},
		) {
			if strings.Contains(r, "9001") || !strings.Contains(r, "error") && !strings.Contains(r, "9002") {
				t.Errorf("call %d: %s", i, r)
			}
		}
	})
	t.Run("files", func(t *testing.T) {
		for i, r := range tools(t,
			call{"read", map[string]any{"path": "/proc/self/environ"}},
			call{"read", map[string]any{"path": "../state/openclaw.sqlite"}},
			call{"read", map[string]any{"path": "/run/gateway-init/gateway-token"}},
			call{"write", map[string]any{"path": "/var/lib/openclaw/openclaw.json", "content": "{}"}},
			call{"write", map[string]any{"path": "../openclaw.json", "content": "{}"}},
			call{"edit", map[string]any{"path": "/etc/openclaw/openclaw.json", "edits": []any{map[string]any{"oldText": "token", "newText": "none"}}}},
			call{"apply_patch", map[string]any{"input": "*** Begin Patch\n*** Add File: ../planted\n+x\n*** End Patch\n"}},
		) {
			if !strings.Contains(r, "escapes") && !strings.Contains(r, "rror") && !strings.Contains(r, "denied") {
				t.Errorf("call %d: %s", i, r)
			}
		}
	})
	// Tools that change the gateway itself are not among the agent's tools.
	t.Run("catalog", func(t *testing.T) {
		results := tools(t,
			call{"tool_search", map[string]any{"query": "gateway configuration restart update"}},
			call{"tool_search", map[string]any{"query": "schedule a cron automation that runs a command"}},
			call{"tool_search", map[string]any{"query": "run a command on a node, browser, plugins"}},
			call{"tool_search", map[string]any{"query": "fetch a web page by its URL"}}, // the search does find present tools
			call{"openclaw", map[string]any{"message": "set gateway.auth.mode to none"}},
			call{"gateway", map[string]any{"action": "config.get"}},
			call{"tool_call", map[string]any{"id": "openclaw:core:gateway", "args": map[string]any{"action": "config.get"}}},
		)
		for _, id := range []string{"core:gateway", "core:automations", "core:cron", "core:openclaw", "core:plugins", "core:nodes", "core:terminal", "browser:browser"} {
			for i, r := range results[:3] {
				if strings.Contains(r, id) {
					t.Errorf("search %d finds %s", i, id)
				}
			}
		}
		if !strings.Contains(results[3], "web_fetch") {
			t.Errorf("the search finds nothing: %s", results[3])
		}
		for i, r := range results[4:] {
			if !strings.Contains(strings.ToLower(r), "not found") && !strings.Contains(strings.ToLower(r), "unknown") && !strings.Contains(r, "rror") {
				t.Errorf("call %d: %s", i, r)
			}
		}
	})
	// A bootstrap token that the agent mints in its own state directory does not
	// open the gateway.
	t.Run("bootstrap", func(t *testing.T) {
		r := c.For(t).ExecFlags([]string{"-e", "HOME=/sandbox"}, "sandbox", nil, "openclaw", "dashboard", "--json")
		_, rest, ok := strings.Cut(r.Stdout, "bootstrapToken=")
		bootstrap, _, end := strings.Cut(rest, "&")
		if !ok || !end {
			t.Fatalf("dashboard: %v", r)
		}
		code, err := json.Marshal(map[string]string{"url": "ws://127.0.0.1:18789", "bootstrapToken": bootstrap})
		if err != nil {
			t.Fatal(err)
		}
		before := devices(t, c)
		r = c.ExecFlags([]string{"-e", "HOME=/tmp"}, "sandbox", nil, "timeout", "40", "openclaw", "connect", "--display-name", "thief",
			base64.RawURLEncoding.EncodeToString(code))
		if r.Code == 0 {
			t.Errorf("connect: %v", r)
		}
		if after := devices(t, c); after != before {
			t.Errorf("devices were %s and are %s", before, after)
		}
	})
	now := c.Status()
	if now.Gateway.Process != gateway || !c.View().Serving {
		t.Errorf("the gateway was %v and is %v", gateway, now.Gateway)
	}
}

// devices returns the names of all paired devices.
func devices(t *testing.T, c *harness.Container) string {
	t.Helper()
	r := client(c, "openclaw", "devices", "list", "--json")
	var list struct {
		Paired []struct {
			DeviceID    string `json:"deviceId"`
			DisplayName string `json:"displayName"`
		} `json:"paired"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || r.Code != 0 {
		t.Fatalf("devices: %v: %v", err, r)
	}
	return fmt.Sprint(list.Paired)
}
