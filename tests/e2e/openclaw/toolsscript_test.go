// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// watched runs the image's tools script as the sandbox user, with a JavaScript
// program in the vendor's place, with or without a gateway that only listens. The
// node ends by itself after life tenths of a second. The exit code is that of the
// script, which looks ten times a second.
func watched(t *testing.T, gateway bool, before, node string, life int) harness.Result {
	t.Helper()
	needImage(t)
	fake := filepath.Join(t.TempDir(), "openclaw")
	if err := os.WriteFile(fake, []byte("#!/usr/bin/env node\nimport net from 'node:net';\nconst dial = () => net.connect(18789, '127.0.0.1').on('error', () => {});\n"+
		"const after = (n, f) => setTimeout(f, n * 100);\n"+fmt.Sprintf("%s\nafter(%d, () => process.exit(7));\n", node, life)), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "set -e; as() { id=$1; shift; setpriv --reuid $id --regid $id --clear-groups \"$@\"; }\n"
	if gateway {
		script += "as 9001 node -e 'require(\"net\").createServer((s) => s.on(\"error\", () => {})).listen(18789, \"127.0.0.1\", () => require(\"fs\").writeFileSync(\"/tmp/up\", \"\"))' &\n" +
			"until [ -e /tmp/up ]; do sleep 0.1; done\n"
	}
	if before != "" {
		script += "as 9002 node -e '" + before + "' &\nuntil [ -e /tmp/before ]; do sleep 0.1; done\n"
	}
	script += "mkdir -p /tmp/home/.openclaw/state; touch /tmp/home/.openclaw/state/openclaw.sqlite; chown -R 9002:9002 /tmp/home\n" +
		"as 9002 env HOME=/tmp/home TOOLS_PAUSE=0.1 TOOLS_ALONE=100 /usr/local/share/gateway-init/openclaw/tools"
	return harness.Engine(t, nil, "run", "--rm", "--network", "none", "-v", fake+":/usr/local/bin/openclaw:ro",
		"--entrypoint", "/bin/sh", harness.OpenClawImage, "-c", script)
}

// TestToolsWatch checks that the tools script exits with 75 if the node's
// connection is lost or not the newest. The gateway sends commands to the newest
// alone and leaves an older one open. If the node ends first, the script exits with
// its code, 7 here.
func TestToolsWatch(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		gateway      bool
		before, node string
		code         int
		says         string
	}{
		"connected":      {true, "", "dial();", 7, ""},
		"reconnects":     {true, "", "const s = dial(); after(20, () => { s.destroy(); dial(); });", 7, ""},
		"no-gateway":     {false, "", "dial();", 7, ""},
		"older-stranger": {true, `require("net").connect(18789, "127.0.0.1", () => require("fs").writeFileSync("/tmp/before", ""))`, "dial();", 7, ""},
		"short-requests": {true, "", "dial(); setInterval(() => { const s = dial(); s.on('connect', () => s.end()); }, 250);", 7, ""},
		"newer":          {true, "", "dial(); after(20, dial);", 75, "newer than the node's"},
		"lost":           {true, "", "const s = dial(); after(20, () => s.destroy());", 75, "has no connection to port 18789"},
		"never":          {true, "", "", 75, "has no connection to port 18789"},
	} {
		t.Run(name, func(t *testing.T) {
			takePlace(t)
			life := 60
			if try.code == 75 {
				life = 6000 // the script has to end it
			}
			r := watched(t, try.gateway, try.before, try.node, life)
			said := ""
			for line := range strings.Lines(r.Stderr) {
				if strings.HasPrefix(line, "tools: ") {
					said += line
				}
			}
			if r.Code != try.code || strings.Count(said, "\n") > 1 || !strings.Contains(said, try.says) || (try.says == "") != (said == "") {
				t.Error(r)
			}
		})
	}
}
