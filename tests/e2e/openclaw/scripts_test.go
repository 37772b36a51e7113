package openclaw

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatewayinit/tests/harness"
)

// scripted runs one of the image's scripts as the operator, with a program in
// the vendor's place that answers by the lines of a shell case. What the script
// leaves in the pairing directory, and what the program was asked, come after
// its own output.
func scripted(t *testing.T, script, answers string) harness.Result {
	t.Helper()
	needImage(t)
	fake := filepath.Join(t.TempDir(), "openclaw")
	text := "#!/bin/sh\necho \"$*\" >>/tmp/asked\nn=$(grep -cx -- \"$*\" /tmp/asked)\ncase \"$* $n\" in\n" + answers + "\nesac\n"
	if err := os.WriteFile(fake, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return harness.Engine(t, nil, "run", "--rm", "--network", "none", "-u", "operator", "-e", "PAIR_PATIENCE_MS=6000",
		"-v", fake+":/usr/local/bin/openclaw:ro", "--entrypoint", "/bin/sh", harness.OpenClawImage, "-c",
		"mkdir /tmp/openclaw-pairing; node /usr/local/share/gateway-init/openclaw/"+script+"; code=$?; "+
			"echo left: $(ls /tmp/openclaw-pairing); echo seen: $(cat /tmp/seen); cat /tmp/asked; ls -d /tmp/openclaw-pair-*; exit $code")
}

const (
	noNodes   = `echo '{"nodes":[]}';;`
	connected = `echo '{"nodes":[{"displayName":"sandbox","paired":true,"connected":true},{"displayName":"other","paired":true}]}';;`
	away      = `echo '{"nodes":[{"displayName":"sandbox","paired":true,"connected":false},{"displayName":"other","paired":true,"connected":true}]}';;`
	joinCode  = `"devices join-code"*) echo '{"joinUrl":"http://127.0.0.1:18789/j/x"}';;`
	copyCode  = `cp /tmp/openclaw-pairing/code /tmp/seen; `
)

// The one-shot ends with 0 once the node is connected and not before, leaves no
// code behind, and says in one line what is wrong.
func TestPair(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		answers string
		code    int
		says    string
		seen    string // of the code, by the node
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
			r := scripted(t, "pair.mjs", try.answers)
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

// Nodes stay; whatever else is paired is removed, and what cannot be is named.
func TestRevokeScript(t *testing.T) {
	t.Parallel()
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
