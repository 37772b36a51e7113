// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// mcpServer is an MCP server over stdio with one tool. It runs a command, or a line of
// JavaScript in the server itself.
const mcpServer = `
const { spawnSync } = require("node:child_process");
const os = require("node:os");
const tool = { name: "run", description: "runs a command", inputSchema: { type: "object", properties: { command: { type: "string" }, js: { type: "string" } } } };
function run({ command, js }) {
  if (js) try { return String(eval(js)); } catch (e) { return String(e); }
  const r = spawnSync("/bin/sh", ["-c", command], { encoding: "utf8" });
  return r.stdout + r.stderr;
}
const methods = {
  initialize: (p) => ({ protocolVersion: p.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "probe", version: "1" } }),
  "tools/list": () => ({ tools: [tool] }),
  "tools/call": (p) => ({ content: [{ type: "text", text: run(p.arguments) }] }),
};
let rest = "";
process.stdin.on("data", (data) => {
  const lines = (rest + data).split("\n");
  rest = lines.pop();
  for (const m of lines.map((line) => JSON.parse(line)))
    if (m.id !== undefined) process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id: m.id, result: (methods[m.method] ?? (() => ({})))(m.params ?? {}) }) + "\n");
});
process.stdin.on("end", () => process.exit(0));
`

// Lines of the MCP server's commands.
const (
	openEnvirons = `for p in /proc/[0-9]*; do if cat $p/environ >/dev/null 2>&1; then echo open $p; else echo closed $p; fi; done`
	useGit       = `set -e; cd $(mktemp -d /tmp/openclaw-gateway/git.XXXXXX)
git init -q one; cd one; git config user.email a@example.com; git config user.name a
mkdir d; echo text >f; git add f; git commit -qm first; git mv f d/f; git commit -qm second; git gc -q; cd ..
git clone -q one two; cat two/d/f`
)

// TestConfined runs OpenClaw with gateway.confine. It starts and is proven, the agent's turn
// works, an MCP server answers, and so does git, where the machine's git runs in the image.
// No process of the gateway can read another one's environment. The stop takes longer than
// without the rule, because OpenClaw then does not see that its helpers have ended.
func TestConfined(t *testing.T) {
	takePlace(t)
	dir := harness.HostDir(t, "mcp", 0, 0o755)
	if err := os.WriteFile(filepath.Join(dir, "server.cjs"), []byte(mcpServer), 0o644); err != nil {
		t.Fatal(err)
	}
	conf := map[string]any{
		"mcp": map[string]any{"servers": map[string]any{"probe": map[string]any{
			"command": "/usr/local/bin/node", "args": []string{"/opt/mcp/server.cjs"}}}},
		"tools": map[string]any{"allow": []string{"exec", "read", "write", "bundle-mcp", "probe__run"}},
	}
	for name, confine := range map[string]string{"confined": "proc", "not-confined": "none"} {
		t.Run(name, func(t *testing.T) {
			o := options(t, conf, map[string]any{"gateway": map[string]any{"confine": confine, "stop": map[string]any{"grace": grace.String()}}})
			o.Extra = append(o.Extra, "-v", dir+":/opt/mcp:ro", "--stop-timeout", "120")
			for _, at := range []string{"/usr/bin/git", "/usr/lib/git-core", "/usr/share/git-core"} {
				o.Extra = append(o.Extra, "-v", at+":"+at+":ro")
			}
			c := harness.Start(t, o)
			proven(t, c.WaitServing(ready))
			waitTools(t, c)
			mcp := func(key, value string) call {
				return call{"tool_call", map[string]any{"id": "mcp:probe:probe__run", "args": map[string]any{key: value}}}
			}
			results := turn(t, c, shell("id -u"), mcp("command", "id -u"), mcp("command", openEnvirons),
				mcp("js", "[os.cpus().length > 0, os.freemem() > 0, os.uptime() > 0].join()"), mcp("js", "process.memoryUsage.rss() > 0"), mcp("command", useGit))
			for i, want := range []string{"9002", "9001", "closed /proc/1", "true,true,true", map[string]string{"proc": "EACCES", "none": "true"}[confine], "text"} {
				if i == 5 && strings.Contains(results[i], "GLIBC") {
					t.Log("the machine's git does not run in the image")
					continue
				}
				if !strings.Contains(results[i], want) {
					t.Errorf("call %d: %s", i, results[i])
				}
			}
			if open := strings.Contains(results[2], "open /proc/"); open != (confine == "none") {
				t.Errorf("a process of the gateway reads an environment: %v: %s", open, results[2])
			}
			for _, what := range []string{"with an MCP server", "without"} {
				before, began := c.Status(), time.Now()
				c.MustCtl("restart", "--timeout", "4m")
				r := c.Status()
				proven(t, r)
				if e := r.LastExit; e.PID != before.Gateway.PID || e.Code != 0 || e.Signal != 0 {
					t.Errorf("last exit: %+v", e)
				}
				t.Logf("%s, %s: the gateway took %v to stop", name, what, r.LastExit.At.Sub(began).Round(100*time.Millisecond))
			}
		})
	}
}
