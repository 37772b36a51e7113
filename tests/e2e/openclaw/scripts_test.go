// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// scripted runs one of the image's scripts as the operator. A program in the
// vendor's place answers by the lines of a shell case. After the script's output
// come the files that it left in the pairing directory, and the requests to the
// program.
func scripted(t *testing.T, script, answers string) harness.Result {
	t.Helper()
	return scriptedAs(t, script, answers, "$script")
}

// scriptedAs is scripted with a shell text that runs $script.
func scriptedAs(t *testing.T, script, answers, run string) harness.Result {
	t.Helper()
	needImage(t)
	fake := filepath.Join(t.TempDir(), "openclaw")
	text := "#!/bin/sh\necho \"$*\" >>/tmp/asked\nn=$(grep -cx -- \"$*\" /tmp/asked)\ncase \"$* $n\" in\n" + answers + "\nesac\n"
	if err := os.WriteFile(fake, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return harness.Engine(t, nil, "run", "--rm", "--network", "none", "-u", "operator", "-e", "PAIR_PATIENCE_MS=6000", "-e", "PAIR_LIFE_MS=60000",
		"-v", fake+":/usr/local/bin/openclaw:ro", "--entrypoint", "/bin/sh", harness.OpenClawImage, "-c",
		"mkdir /tmp/openclaw-pairing; script='node /usr/local/share/gateway-init/openclaw/"+script+"'\n"+run+"\ncode=$?; "+
			"echo left: $(ls -A /tmp/openclaw-pairing); echo seen: $(cat /tmp/seen); cat /tmp/asked; ls -d /tmp/openclaw-pair-*; exit $code")
}

const (
	noNodes   = `echo '{"nodes":[]}';;`
	connected = `echo '{"nodes":[{"displayName":"sandbox","paired":true,"connected":true},{"displayName":"other","paired":true}]}';;`
	away      = `echo '{"nodes":[{"displayName":"sandbox","paired":true,"connected":false},{"displayName":"other","paired":true,"connected":true}]}';;`
	noSession = `"gateway call"*) echo '{"sessions":[]}';;`
	joinCode  = `"devices join-code"*) echo '{"joinUrl":"http://127.0.0.1:18789/j/x"}';;`
	copyCode  = `cp /tmp/openclaw-pairing/code /tmp/seen; `
)

// TestPair checks that the one-shot exits with 0 once the node is connected and not
// before. It leaves no code behind, and reports an error in one line.
func TestPair(t *testing.T) {
	takePlace(t)
	for name, try := range map[string]struct {
		answers string
		code    int
		says    string
		seen    string // the code that the node saw
	}{
		"connected":    {`"nodes status --json 1") ` + connected, 0, "connected as node sandbox", ""},
		"comes-back":   {`"nodes status --json 1") ` + away + "\n*) " + connected, 0, "connected as node sandbox", ""},
		"new":          {`"nodes status --json 1") ` + noNodes + "\n" + joinCode + "\n*) " + copyCode + connected, 0, "connected as node sandbox", "http://127.0.0.1:18789/j/x"},
		"never":        {joinCode + "\n*) [ ! -e /tmp/openclaw-pairing/code ] || " + copyCode + noNodes, 1, "did not connect within 6000 ms", "http://127.0.0.1:18789/j/x"},
		"cannot-look":  {"*) echo no gateway >&2; exit 3;;", 1, "pair: Command failed", ""},
		"cannot-mint":  {`"nodes status"*) ` + noNodes + "\n*) exit 1;;", 1, "pair: Command failed", ""},
		"no-json":      {"*) echo hello;;", 1, "pair: ", ""},
		"another-json": {"*) echo '{}';;", 1, "pair: ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := scripted(t, "pair.mjs", noSession+"\n"+try.answers)
			said := ""
			for line := range strings.Lines(r.Stderr) {
				if strings.HasPrefix(line, "pair: ") {
					said = line
				}
			}
			if r.Code != try.code || !strings.Contains(said, try.says) || strings.Contains(r.Stderr, "    at ") {
				t.Errorf("%v", r)
			}
			if !strings.Contains(r.Stdout, "left:\n") || !strings.Contains(r.Stdout, strings.TrimSpace("seen: "+try.seen)+"\n") || strings.Contains(r.Stdout, "/tmp/openclaw-pair-") {
				t.Errorf("it left something, or the node saw another code: %v", r)
			}
		})
	}
}

// TestPairKilled kills pair and its children at any moment, as PID 1 does. The next
// run pairs, and nothing of the killed run remains.
func TestPairKilled(t *testing.T) {
	t.Parallel()
	const hang = "touch /tmp/here; sleep 300;;"
	for name, try := range map[string]struct{ first, left string }{
		"looks":  {`"nodes status --json 1") ` + hang, "home"},
		"mints":  {`"devices join-code --json 1") ` + hang, "home"},
		"lists":  {`"gateway call"*1) ` + hang, "code home"},
		"waits":  {`"nodes status --json 2") ` + hang, "code home"},
		"writes": {`"devices join-code --json 1") echo old >/tmp/openclaw-pairing/code.new; ` + hang, "code.new home"},
	} {
		t.Run(name, func(t *testing.T) {
			takePlace(t)
			answers := try.first + "\n" + `"nodes status --json "[123]) ` + noNodes + "\n" + noSession + "\n" + joinCode + "\n*) " + copyCode + connected
			r := scriptedAs(t, "pair.mjs", answers, `setsid $script & first=$!
until [ -e /tmp/here ]; do sleep 0.1; done
kill -KILL -$first; wait $first
echo killed: $(ls -A /tmp/openclaw-pairing)
$script`)
			if r.Code != 0 || !strings.Contains(r.Stdout, "killed: "+try.left+"\n") || !strings.Contains(r.Stdout, "left:\n") ||
				!strings.Contains(r.Stdout, "seen: http://127.0.0.1:18789/j/x\n") {
				t.Errorf("%v", r)
			}
		})
	}
}

// TestPairLife checks that a vendor's program that ignores SIGTERM does not keep
// pair alive.
func TestPairLife(t *testing.T) {
	takePlace(t)
	begin := time.Now()
	r := scriptedAs(t, "pair.mjs", "*) trap '' TERM; while :; do sleep 1; done;;", "PAIR_LIFE_MS=2000 $script")
	if r.Code != 1 || !strings.Contains(r.Stderr, "ETIMEDOUT; trying again") || !strings.Contains(r.Stdout, "left:\n") {
		t.Errorf("%v", r)
	}
	t.Logf("ended after %.1f s", time.Since(begin).Seconds())
}

// TestPairReports checks that each session that works outside its workspace is
// named on one line. The agent can put no line of its own into the output.
func TestPairReports(t *testing.T) {
	takePlace(t)
	var sessions, want []string
	for _, s := range []struct{ fields, says string }{
		{`"key":"agent:main:subagent:1","spawnedCwd":"/run/gateway-init","spawnedWorkspaceDir":"/var/lib/openclaw/workspace"`, "agent:main:subagent:1 works in /run/gateway-init"},
		{`"key":"workspace","spawnedWorkspaceDir":"/other"`, "workspace works in /other"},
		{`"key":"root","sessionRoot":"/"`, "root works in /"},
		{`"key":"dots","spawnedCwd":"/var/lib/openclaw/workspace/../state"`, "dots works in /var/lib/openclaw/workspace/../state"},
		{`"key":"near","spawnedCwd":"/var/lib/openclaw/workspaces"`, "near works in /var/lib/openclaw/workspaces"},
		{`"key":"two\\nlines","spawnedCwd":"/x\\ny"`, "two?lines works in /x?y"},
		{`"key":"none"`, ""},
		{`"key":"inside","spawnedCwd":"/var/lib/openclaw/workspace/notes"`, ""},
		{`"key":"of-another","spawnedCwd":"/var/lib/openclaw/workspace-ops"`, ""},
	} {
		sessions = append(sessions, "{"+s.fields+"}")
		if s.says != "" {
			want = append(want, "pair: session "+s.says+", outside the workspace: delete it (docs/openclaw.md)\n")
		}
	}
	want = append(want, "pair: session last works in /sandbox, outside the workspace: delete it (docs/openclaw.md)\n")
	r := scripted(t, "pair.mjs", `"gateway call"*'"offset":0,'*) echo '{"hasMore":true,"nextOffset":9,"sessions":[`+strings.Join(sessions, ",")+`]}';;
"gateway call"*'"offset":9,'*) echo '{"hasMore":false,"nextOffset":null,"sessions":[{"key":"last","spawnedCwd":"/sandbox"}]}';;
*) `+connected)
	var said []string
	for line := range strings.Lines(r.Stderr) {
		if strings.HasPrefix(line, "pair: session ") {
			said = append(said, line)
		}
	}
	if r.Code != 0 || !slices.Equal(said, want) {
		t.Errorf("%v", r)
	}
	// A failure to list sessions is reported and does not prevent the pairing.
	if r := scripted(t, "pair.mjs", `"gateway call"*) exit 3;;`+"\n*) "+connected); r.Code != 0 || !strings.Contains(r.Stderr, "pair: cannot list the sessions: ") {
		t.Errorf("%v", r)
	}
}

// TestRevokeScript checks that nodes stay. All other paired devices are removed,
// and each that cannot be removed is named.
func TestRevokeScript(t *testing.T) {
	takePlace(t)
	const (
		node  = `{"deviceId":"n1","role":"node","roles":["node"],"tokens":[{"role":"node"}]}`
		admin = `{"deviceId":"a1","role":"operator","roles":["operator"]}`
		both  = `{"deviceId":"b1","role":"node","roles":["node"],"tokens":[{"role":"node"},{"role":"operator"}]}`
	)
	list := func(devices ...string) string { return `echo '{"paired":[` + strings.Join(devices, ",") + `]}';;` }
	for name, try := range map[string]struct {
		answers string
		code    int
		says    string
		removed string
	}{
		"none":        {"*list*) " + list(node), 0, "0 removed", ""},
		"some":        {`"devices list --json 1") ` + list(node, admin, both) + "\n*list*) " + list(node) + "\n*) echo '{}';;", 0, "2 removed", "devices remove a1 --json\ndevices remove b1 --json\n"},
		"stays":       {"*list*) " + list(admin) + "\n*) echo '{}';;", 1, "still paired: a1", "devices remove a1 --json\n"},
		"cannot-list": {"*) exit 1;;", 1, "revoke-devices: Command failed", ""},
		"cannot-end":  {"*list*) " + list(admin) + "\n*) echo refused >&2; exit 1;;", 1, "revoke-devices: Command failed", "devices remove a1 --json\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := scripted(t, "revoke-devices.mjs", try.answers)
			removed := ""
			for line := range strings.Lines(r.Stdout) {
				if strings.HasPrefix(line, "devices remove") {
					removed += line
				}
			}
			if r.Code != try.code || !strings.Contains(r.Stderr, try.says) || strings.Contains(r.Stderr, "    at ") || removed != try.removed {
				t.Errorf("%v", r)
			}
		})
	}
}
