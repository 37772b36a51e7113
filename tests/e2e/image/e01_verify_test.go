// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/verify"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// verifyImage runs the built gatewayctl on the host, as its caller.
func verifyImage(t *testing.T, stdin []byte, args ...string) (code int, r verify.Report, stderr string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(harness.Root(t), "bin/gatewayctl"), append([]string{"verify-image", "--json"}, args...)...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &complaint
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("cannot read %q: %v", out.String(), err)
		}
	}
	return cmd.ProcessState.ExitCode(), r, complaint.String()
}

// hashFlags returns the flags that let verify-image run the programs of an image: the
// hashes of those that were built.
func hashFlags(t *testing.T) (args []string) {
	t.Helper()
	for _, name := range []string{"gateway-init", "gatewayctl"} {
		data, err := os.ReadFile(filepath.Join(harness.Root(t), "bin", name))
		must(t, err)
		args = append(args, "--expect-sha256", fmt.Sprintf("%s=%x", name, sha256.Sum256(data)))
	}
	return args
}

// checksWith returns the names of the checks with this result.
func checksWith(r verify.Report, result verify.Result) (names []string) {
	for _, c := range r.Checks {
		if c.Result == result {
			names = append(names, c.Name)
		}
	}
	return names
}

// wantFailed checks that these checks fail and no others.
func wantFailed(t *testing.T, code int, r verify.Report, stderr string, want ...string) {
	t.Helper()
	if got := checksWith(r, verify.Failed); code != 1 || r.OK || !slices.Equal(got, want) {
		t.Errorf("exit code %d, failed %v, want %v\n%s%+v", code, got, want, stderr, r.Checks)
	}
}

// Scenario E01. The images that we ship pass their own validation, read from the
// engine, as an archive, as a directory and from inside a build. A change of any
// owner, mode, user, group, file or setting makes it fail.
func TestChangedImageFailsVerification(t *testing.T) {
	t.Run("the-demo", func(t *testing.T) {
		code, r, stderr := verifyImage(t, nil, append(hashFlags(t), "--image", harness.DemoImage)...)
		absent := []string{"release", "gateway-not-readable", "token-bytes", "probe-root"}
		if code != 0 || !r.OK || r.Profile != "demo" || !slices.Equal(checksWith(r, verify.NotAvailable), absent) {
			t.Errorf("exit code %d, %+v\n%s", code, r, stderr)
		}
		if got := detail(r, "probe-sandbox"); got != "the kernel refuses gatewayctl to the sandbox user" {
			t.Errorf("probe-sandbox says %q", got)
		}
		if left := harness.Engine(t, nil, "ps", "-aq", "--filter", "name=gateway-init-verify-"); left.Stdout != "" || left.Code != 0 {
			t.Errorf("containers are left: %v", left)
		}
	})
	t.Run("the-demo-without-hashes", func(t *testing.T) {
		code, r, stderr := verifyImage(t, nil, "--image", harness.DemoImage)
		if code != 0 || !r.OK || !strings.Contains(detail(r, "release"), "--expect-sha256 gateway-init=HEX runs it") {
			t.Errorf("exit code %d, %+v\n%s", code, r, stderr)
		}
	})
	t.Run("the-binaries-alone", func(t *testing.T) {
		code, r, stderr := verifyImage(t, nil, append(hashFlags(t), "--image", harness.InitImage, "--profile", "demo")...)
		// This image is for COPY --from. It has only the programs.
		wantFailed(t, code, r, stderr, "config", "users", "accounts", "health")
		for _, name := range []string{"init", "ctl", "hashes", "entrypoint", "path"} {
			if !slices.Contains(checksWith(r, verify.Held), name) {
				t.Errorf("%s does not hold: %+v", name, r.Checks)
			}
		}
	})
	t.Run("an-archive", func(t *testing.T) {
		saved := save(t, harness.DemoImage)
		code, r, stderr := verifyImage(t, saved, "--archive", "-")
		if code != 0 || len(checksWith(r, verify.Failed)) != 0 {
			t.Errorf("exit code %d, %+v\n%s", code, r, stderr)
		}
	})
	t.Run("no-such-image", func(t *testing.T) {
		code, _, stderr := verifyImage(t, nil, "--image", "nosuch:nosuch")
		if code != 3 || !strings.HasPrefix(stderr, `gatewayctl: cannot read image "nosuch:nosuch": `) {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	})
	t.Run("in-a-build", func(t *testing.T) { testInBuild(t) })
	t.Run("another-image", func(t *testing.T) { testOtherImages(t) })
	t.Run("another-tree", func(t *testing.T) { testOtherTrees(t) })
	t.Run("a-program-that-hangs", func(t *testing.T) { testHungProgram(t) })
	t.Run("layers-read-differently", func(t *testing.T) { testReaders(t) })
	t.Run("a-token-in-a-profile", func(t *testing.T) { testShellProfile(t) })
}

// detail returns the detail of a check.
func detail(r verify.Report, name string) string {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.Detail
		}
	}
	return ""
}

func save(t *testing.T, image string) []byte {
	t.Helper()
	r := harness.Engine(t, nil, "save", image)
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	return []byte(r.Stdout)
}

// file is a file that a derived image adds.
type file struct {
	path     string
	mode     int64
	uid, gid int
	data     string
}

// build makes an image from the demo image, with files in one layer and then
// instructions.
func build(t *testing.T, files []file, instructions ...string) (image string, r harness.Result) {
	t.Helper()
	var layer, context bytes.Buffer
	l := tar.NewWriter(&layer)
	for _, f := range files {
		add(t, l, &tar.Header{Name: f.path[1:], Mode: f.mode, Uid: f.uid, Gid: f.gid}, f.data)
	}
	must(t, l.Close())
	lines := []string{"FROM " + harness.DemoImage}
	if len(files) > 0 {
		lines = append(lines, "ADD layer.tar /")
	}
	c := tar.NewWriter(&context)
	add(t, c, &tar.Header{Name: "Containerfile", Mode: 0o644}, strings.Join(append(lines, instructions...), "\n")+"\n")
	add(t, c, &tar.Header{Name: "layer.tar", Mode: 0o644}, layer.String())
	must(t, c.Close())
	image = harness.NewName(t)
	t.Cleanup(func() { harness.Engine(t, nil, "rmi", "-f", image) })
	return image, harness.Engine(t, context.Bytes(), "build", "--network", "none", "-f", "Containerfile", "-t", image, "-")
}

func add(t *testing.T, w *tar.Writer, h *tar.Header, data string) {
	t.Helper()
	h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
	must(t, w.WriteHeader(h))
	_, err := w.Write([]byte(data))
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testInBuild runs verify-image in a build, where the root is the image, and where
// there is no supervisor and no engine.
func testInBuild(t *testing.T) {
	const look = `RUN ["/usr/local/bin/gatewayctl", "verify-image"]`
	t.Run("good", func(t *testing.T) {
		if _, r := build(t, nil, look); r.Code != 0 {
			t.Errorf("the build fails: %v", r)
		}
	})
	t.Run("broken", func(t *testing.T) {
		_, r := build(t, []file{{"/etc/gateway-init/config.json", 0o666, 0, 0, string(harness.DemoConfig(t, nil))}}, look)
		if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "FAIL  config ") {
			t.Errorf("a broken image can be built: %v", r)
		}
	})
	t.Run("sealed", func(t *testing.T) {
		open := file{"/etc/openclaw/openclaw.json", 0o644, 0, 0, `{"gateway": {"auth": {"token": "s3cret"}}}`}
		_, r := build(t, []file{open}, `RUN ["/usr/local/bin/gatewayctl", "config", "seal"]`, `RUN ["/usr/local/bin/gatewayctl", "config", "seal"]`, look)
		if r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "gateway.auth.token is empty now") || !strings.Contains(r.Stdout+r.Stderr, "was empty already") {
			t.Errorf("cannot seal in a build: %v", r)
		}
	})
}

func testOtherImages(t *testing.T) {
	ctl, err := os.ReadFile(filepath.Join(harness.Root(t), "bin/gatewayctl"))
	must(t, err)
	token := strings.Repeat("0123456789abcdef", 4)
	for name, c := range map[string]struct {
		files        []file
		instructions []string
		want         []string
	}{
		"entrypoint":  {nil, []string{`ENTRYPOINT ["/usr/local/bin/demotools", "env"]`}, []string{"entrypoint"}},
		"user":        {nil, []string{"USER sandbox"}, []string{"image-user"}},
		"no-health":   {nil, []string{"HEALTHCHECK NONE"}, []string{"health"}},
		"stop-signal": {nil, []string{"STOPSIGNAL SIGKILL"}, []string{"stop-signal"}},
		// The engine keeps an ENV line in the history too.
		"environment": {nil, []string{"ENV OPENCLAW_GATEWAY_TOKEN=" + token}, []string{"environment", "history"}},
		"label":       {nil, []string{"LABEL secret=" + token}, []string{"history"}},
		"removed-later": {[]file{{"/root/gateway-token", 0o400, 0, 0, "x"}, {"/sandbox/openclaw.json.bak", 0o600, 9002, 9002, `{"gateway":{"auth":{"token":"x"}}}`}},
			[]string{`RUN ["/usr/local/bin/demotools", "rm", "/root/gateway-token", "/sandbox/openclaw.json.bak"]`}, []string{"token-files", "config-tokens"}},
		"path-of-the-agent":  {nil, []string{"ENV PATH=/sandbox/bin:/usr/local/bin"}, []string{"path"}},
		"path-that-is-open":  {nil, []string{"ENV PATH=/tmp:/usr/local/bin"}, []string{"path"}},
		"health-by-path":     {nil, []string{`HEALTHCHECK CMD ["gatewayctl", "health"]`}, []string{"health"}},
		"gatewayctl-for-all": {[]file{{"/usr/local/bin/gatewayctl", 0o755, 0, 0, string(ctl)}}, nil, []string{"ctl", "probe-sandbox"}},
	} {
		t.Run(name, func(t *testing.T) {
			image, r := build(t, c.files, c.instructions...)
			if r.Code != 0 {
				t.Fatal(r)
			}
			if slices.Contains(c.want, "probe-sandbox") {
				code, report, stderr := verifyImage(t, nil, append(hashFlags(t), "--image", image)...)
				wantFailed(t, code, report, stderr, c.want...)
				return
			}
			code, report, stderr := verifyImage(t, save(t, image), "--archive", "-")
			wantFailed(t, code, report, stderr, c.want...)
		})
	}
	t.Run("token-in-a-layer", func(t *testing.T) {
		image, r := build(t, []file{{"/var/log", 0o644, 0, 0, "token " + strings.ToUpper(token)}}, `RUN ["/usr/local/bin/demotools", "rm", "/var/log"]`)
		if r.Code != 0 {
			t.Fatal(r)
		}
		code, report, stderr := verifyImage(t, []byte(token), "--image", image, "--token-stdin")
		wantFailed(t, code, report, stderr, "token-bytes")
	})
}

// testOtherTrees changes the demo's exported tree, one thing at a time.
func testOtherTrees(t *testing.T) {
	exported := export(t)
	lines := func(path, old, new string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			text, err := os.ReadFile(root + path)
			must(t, err)
			changed := strings.Replace(string(text), old, new, 1)
			if changed == string(text) {
				t.Fatalf("%s has no %q", path, old)
			}
			must(t, os.WriteFile(root+path, []byte(changed), 0o644))
		}
	}
	mode := func(path string, m fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, root string) { must(t, os.Chmod(root+path, m)) }
	}
	owner := func(path string, id int) func(*testing.T, string) {
		return func(t *testing.T, root string) { must(t, os.Chown(root+path, id, id)) }
	}
	put := func(path, data string, m fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			must(t, os.WriteFile(root+path, []byte(data), m))
			must(t, os.Chmod(root+path, m))
		}
	}
	for name, c := range map[string]struct {
		change func(*testing.T, string)
		want   []string
	}{
		"nothing":        {func(*testing.T, string) {}, nil},
		"init-mode":      {mode("/usr/local/sbin/gateway-init", 0o755), []string{"init"}},
		"init-owner":     {owner("/usr/local/sbin/gateway-init", 9001), []string{"init"}},
		"ctl-mode":       {mode("/usr/local/bin/gatewayctl", 0o710), []string{"ctl"}},
		"ctl-for-all":    {mode("/usr/local/bin/gatewayctl", 0o755), []string{"ctl", "probe-sandbox"}},
		"ctl-of-another": {put("/usr/local/bin/gatewayctl", "#!/nowhere\n", 0o700), []string{"hashes"}},
		"node": {func(t *testing.T, root string) {
			put("/usr/local/bin/demogateway", "#!/usr/local/bin/node\n", 0o755)(t, root)
			put("/usr/local/bin/node", "x", 0o711)(t, root)
		}, []string{"node-debugger"}},
		"config-mode":       {mode("/etc/gateway-init/config.json", 0o664), []string{"config"}},
		"config-owner":      {owner("/etc/gateway-init/config.json", 9001), []string{"config"}},
		"config-folder":     {mode("/etc/gateway-init", 0o775), []string{"parents"}},
		"gateway-mode":      {mode("/usr/local/bin/demogateway", 0o775), []string{"programs"}},
		"gateway-owner":     {owner("/usr/local/bin/demogateway", 9001), []string{"programs"}},
		"setuid":            {mode("/usr/local/bin/demotools", 0o755|fs.ModeSetuid), []string{"set-id"}},
		"world-writable":    {mode("/var", 0o777), []string{"world-writable"}},
		"gateway-home":      {mode("/var/lib/gateway", 0o755), []string{"homes"}},
		"operator-home":     {owner("/home/operator", 9002), []string{"homes"}},
		"second-root":       {lines("/etc/passwd", "root:", "toor:x:0:0::/:\nroot:"), []string{"accounts"}},
		"no-operator":       {lines("/etc/passwd", "operator:", "somebody:"), []string{"users"}},
		"one-uid":           {lines("/etc/passwd", "sandbox:x:9002:", "sandbox:x:9001:"), []string{"users", "homes"}},
		"in-sandbox-group":  {lines("/etc/group", "sandbox:x:9002:", "sandbox:x:9002:operator"), []string{"sandbox-group", "operator-member"}},
		"in-gateway-group":  {lines("/etc/group", "gateway:x:9001:", "gateway:x:9001:relay"), []string{"gateway-group"}},
		"gateway-in-docker": {lines("/etc/group", "operator:", "docker:x:999:gateway\noperator:"), []string{"gateway-member"}},
		"operator-in-sudo":  {lines("/etc/group", "operator:", "sudo:x:27:operator\noperator:"), []string{"operator-member"}},
		"sandbox-in-docker": {lines("/etc/group", "operator:", "docker:x:999:sandbox\noperator:"), []string{"sandbox-member"}},
		"left-token":        {put("/var/lib/gateway-token", "x", 0o400), []string{"token-files"}},
		"paired":            {put("/sandbox/paired.json", "{}", 0o600), []string{"device-state"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := unpack(t, exported)
			c.change(t, root)
			code, r, stderr := verifyImage(t, nil, append(hashFlags(t), "--root", root)...)
			if c.want != nil {
				wantFailed(t, code, r, stderr, c.want...)
			} else if code != 0 || !r.OK {
				t.Errorf("exit code %d, %+v\n%s", code, r, stderr)
			}
		})
	}
}

func export(t *testing.T) []byte {
	t.Helper()
	r := harness.Engine(t, nil, "create", harness.DemoImage)
	if r.Code != 0 {
		t.Fatal(r)
	}
	id := strings.TrimSpace(r.Stdout)
	t.Cleanup(func() { harness.Engine(t, nil, "rm", "-f", id) })
	exported := harness.Engine(t, nil, "export", id)
	if exported.Code != 0 {
		t.Fatal(exported.Stderr)
	}
	return []byte(exported.Stdout)
}

func unpack(t *testing.T, data []byte) string {
	t.Helper()
	root := t.TempDir()
	must(t, os.Chmod(root, 0o755))
	cmd := exec.Command("tar", "-xp", "--numeric-owner", "-C", root)
	cmd.Stdin = bytes.NewReader(data)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, out))
	}
	return root
}
