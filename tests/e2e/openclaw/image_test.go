// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario E01, with OpenClaw. The image passes its own validation. It fails after
// each of these changes.
func TestChangedOpenClawImageFailsVerification(t *testing.T) {
	takePlace(t)
	needImage(t)
	if r := after(t, ":"); !r.OK {
		t.Fatalf("as built: %v", r.failed())
	}
	for name, command := range map[string]string{
		"node-readable":     "chmod 0755 /usr/local/bin/node",
		"script-writable":   "chmod o+w /usr/local/lib/node_modules/openclaw/openclaw.mjs",
		"script-not-roots":  "chown sandbox /usr/local/lib/node_modules/openclaw/openclaw.mjs",
		"gatewayctl-public": "chmod 0755 /usr/local/bin/gatewayctl",
		"init-writable":     "chmod 0775 /usr/local/sbin/gateway-init",
		"config-writable":   "chmod 0666 /etc/gateway-init/config.json",
		"setuid":            "cp /bin/cat /usr/bin/cat2; chmod 4755 /usr/bin/cat2",
		"world-writable":    "mkdir -m 0777 /opt/open",
		"second-root":       "echo toor:x:0:0::/root:/bin/sh >>/etc/passwd",
		"in-sandbox":        "sed -i 's/^sandbox:x:9002:.*/sandbox:x:9002:gateway/' /etc/group",
		"state-open":        "chmod 0755 /var/lib/openclaw",
		"compiler":          "cp /bin/cat /usr/bin/gcc",
		"token":             `sed -i 's/"token": ""/"token": "x"/' /etc/openclaw/openclaw.json`,
		"no-auth":           `sed -i 's/"mode": "token"/"mode": "none"/' /etc/openclaw/openclaw.json`,
		"pin":               `sed -i 's/18789/18790/' /etc/openclaw/openclaw.json`,
		"left-behind":       "mkdir -p /run/gateway-init; echo x >/run/gateway-init/gateway-token",
	} {
		t.Run(name, func(t *testing.T) {
			if r := after(t, command); r.OK || len(r.failed()) == 0 {
				t.Errorf("it still passes: %+v", r)
			}
		})
	}
}

// TestFinish checks that finish can be run again, and reports in one line what a
// base lacks.
func TestFinish(t *testing.T) {
	takePlace(t)
	needImage(t)
	finish := func(before string) harness.Result {
		return harness.Engine(t, nil, "run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", harness.OpenClawImage,
			"-c", before+"\n/usr/local/share/gateway-init/openclaw/finish")
	}
	if r := finish(":"); r.Code != 0 {
		t.Errorf("again: %v", r)
	}
	for name, try := range map[string]struct{ before, says string }{
		"no-openclaw":  {"rm /usr/local/lib/node_modules/openclaw/openclaw.mjs", "no OpenClaw at"},
		"lifecycle":    {"touch /usr/local/lib/node_modules/openclaw/.openclaw-lifecycle-pending", "lifecycle is not finished"},
		"no-node":      {"mv /usr/local/bin/node /opt/node", "no node in PATH"},
		"another-uid":  {"sed -i 's/^sandbox:x:9002:9002/sandbox:x:9102:9002/' /etc/passwd", "sandbox is not 9002:9002"},
		"uid-is-taken": {"sed -i 's/^sandbox:x/other:x/' /etc/passwd", "uid 9002 is taken"},
		"gid-is-taken": {"sed -i 's/^sandbox:x/other:x/' /etc/group", "gid 9002 is taken"},
	} {
		t.Run(name, func(t *testing.T) {
			r := finish(try.before)
			if lines := strings.Count(strings.TrimSpace(r.Stderr), "\n"); r.Code == 0 || lines != 0 || !strings.Contains(r.Stderr, "finish: ") || !strings.Contains(r.Stderr, try.says) {
				t.Errorf("%v", r)
			}
		})
	}
}

// build makes an image from a Containerfile based on the real image.
func build(t *testing.T, name, file string) harness.Result {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Containerfile"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { harness.Engine(t, nil, "rmi", "-f", name) })
	return harness.Engine(t, nil, "build", "--network", "none", "-t", name, "-f", filepath.Join(dir, "Containerfile"), dir)
}

// Scenario T04. No image layer, history or configuration holds a token. A
// vendor's repair command leaves none behind.
//
// A vendor's repair command, run in the image build, left a token in the image. All
// containers of that image shared it.
func TestNoOpenClawLayerHoldsToken(t *testing.T) {
	needImage(t)
	const name = "gateway-openclaw-t04:dev"
	token := strings.Repeat("9e", 32)
	r := build(t, name, `FROM `+harness.OpenClawImage+`
RUN echo '{"gateway":{"mode":"local","auth":{"mode":"token","token":"`+token+`"}}}' >/etc/openclaw/openclaw.json.bak
RUN HOME=/root OPENCLAW_CONFIG_PATH=/etc/openclaw/openclaw.json openclaw doctor --fix --yes --non-interactive </dev/null; \
    gatewayctl config seal && gateway-init --check-config >/dev/null
`)
	if r.Code != 0 {
		t.Fatalf("build: %v", r)
	}
	// A file of one layer is found there, although a later layer removed it.
	ctl := filepath.Join(harness.Root(t), "bin/gatewayctl")
	verify := func(image, token string) report {
		t.Helper()
		cmd := exec.Command(ctl, "verify-image", "--profile", "openclaw", "--image", image, "--json", "--token-stdin")
		cmd.Stdin = strings.NewReader(token)
		out, err := cmd.Output()
		var r report
		if errJSON := json.Unmarshal(out, &r); errJSON != nil {
			t.Fatalf("verify-image: %v, %v: %s", err, errJSON, out)
		}
		return r
	}
	bad := verify(name, token)
	if bad.OK || !slices.ContainsFunc(bad.failed(), func(f string) bool { return strings.Contains(f, "openclaw.json.bak") }) {
		t.Errorf("a token in a layer: %v", bad.failed())
	}
	for _, f := range bad.failed() {
		if strings.Contains(f, token[:16]) {
			t.Errorf("the report shows the token: %s", f)
		}
	}
	// The image as built holds no token of its containers.
	if good := verify(harness.OpenClawImage, shared(t).Token()); !good.OK {
		t.Errorf("the image: %v", good.failed())
	}
}

// commands returns the lines of a page's sh blocks.
func commands(t *testing.T, page string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(t), page))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, part := range strings.Split(string(data), "```sh\n")[1:] {
		block, _, ok := strings.Cut(part, "\n```")
		if !ok {
			t.Fatalf("%s: a block without an end", page)
		}
		all = append(all, block)
	}
	if len(all) < 2 {
		t.Fatalf("%s has %d blocks", page, len(all))
	}
	return strings.Join(all, "\n")
}

// TestTenMinutes runs the commands of docs/openclaw.md unchanged, and then the image
// that they build.
func TestTenMinutes(t *testing.T) {
	takePlace(t)
	needImage(t)
	engine := os.Getenv("ENGINE")
	if engine == "" {
		engine = "docker"
	}
	t.Cleanup(func() {
		harness.Engine(t, nil, "rm", "-f", "-v", "my-agent")
		harness.Engine(t, nil, "volume", "rm", "-f", "my-agent-state", "my-agent-files")
		harness.Engine(t, nil, "rmi", "-f", "my-agent")
	})
	all := commands(t, "docs/openclaw.md")
	first, _, ok := strings.Cut(all, "\nmkdir ")
	if !ok || !strings.Contains(first, " gateway-openclaw:dev\n") {
		t.Fatalf("the first block is not as expected: %s", first)
	}
	again := strings.Replace(first, " gateway-openclaw:dev\n", " my-agent\n", 1)
	cmd := exec.Command("bash", "-euc", "docker() { command "+engine+` "$@"; }`+"\n"+all+"\n"+again+"\ndocker exec my-agent /usr/local/bin/gatewayctl status")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nlog:\n%s", err, out, harness.Engine(t, nil, "logs", "my-agent"))
	}
	if !strings.Contains(string(out), "\nSERVING") || strings.Contains(string(out), "\nhardening") { // no such row: hardening is complete
		t.Errorf("%s", out)
	}
	if n := strings.Count(string(out), "\nhttp://localhost:18789/#token="); n != 2 {
		t.Errorf("%d URLs", n)
	}
	web := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: harness.DialPublished}}
	if r, err := web.Get("http://127.0.0.1:18789/"); err != nil || r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the dashboard: %v %v", r, err)
	}
	// The named volumes have the owners of the image.
	for path, want := range map[string]string{"/var/lib/openclaw": "700:9001:9001", "/sandbox": "755:9002:9002"} {
		r := harness.Engine(t, nil, "exec", "my-agent", "stat", "-c", "%a:%u:%g", path)
		if strings.TrimSpace(r.Stdout) != want {
			t.Errorf("%s: %v, want %s", path, r, want)
		}
	}
}
