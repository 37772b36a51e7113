// SPDX-License-Identifier: Apache-2.0

package input

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// If the config of an image is missing, or another user could have changed it, the
// container must not boot with other settings than its author's.
func TestConfigFileRefused(t *testing.T) {
	good := harness.DemoConfig(t, nil)
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string)
		words   []string
	}{
		"missing": {func(*testing.T, string) {}, []string{"config.json", "no such file", "put the configuration there"}},
		"world-writable": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "config.json"), good, 0o666)
		}, []string{"config.json", "writable", "chmod 0644"}},
		"other-owner": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "config.json"), good, 0o644)
			if err := os.Chown(filepath.Join(dir, "config.json"), harness.SandboxUID, 0); err != nil {
				t.Fatal(err)
			}
		}, []string{"config.json", "9002", "chown"}},
		"symlink": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "real.json"), good, 0o644)
			if err := os.Symlink("real.json", filepath.Join(dir, "config.json")); err != nil {
				t.Fatal(err)
			}
		}, []string{"config.json", "link"}},
		"hard-link": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "config.json"), good, 0o644)
			if err := os.Link(filepath.Join(dir, "config.json"), filepath.Join(dir, "other.json")); err != nil {
				t.Fatal(err)
			}
		}, []string{"config.json", "2", "copy it"}},
		"directory": {func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "config.json"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{"config.json", "directory", "regular file"}},
		"65-kib": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "config.json"), append(good, bytes.Repeat([]byte(" "), 65<<10)...), 0o644)
		}, []string{"config.json", "65536", "shorten"}},
		"empty-object": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "config.json"), []byte("{}"), 0o644)
		}, []string{"config.json:1:1", "gateway"}},
		"not-json": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "config.json"), []byte("{\n  \"gateway\": }\n"), 0o644)
		}, []string{"config.json:2:14"}},
		"unknown-key": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "config.json"), []byte(`{"gatway": {}}`), 0o644)
		}, []string{"config.json:1:2", "gatway"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := configDir(t)
			c.prepare(t, dir)
			checkRefused(t, harness.Options{Extra: []string{"-v", dir + ":/etc/gateway-init:ro"}}, 2, c.words...)
		})
	}
}

// An impossible port is an error of the config, not a gateway that never gets ready.
func TestPortRefused(t *testing.T) {
	for name, port := range map[string]any{"zero": 0, "too-high": 70000, "negative": -1, "a-word": "abc", "a-fraction": 80.5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkRefused(t, harness.Options{Config: map[string]any{"gateway": map[string]any{"listen": map[string]any{"port": port}}}},
				2, "config.json:", "gateway.listen.port", "1 to 65535")
		})
	}
}

// If the gateway's program is missing or cannot be executed, a retry does not help,
// so boot ends.
func TestGatewayProgramRefused(t *testing.T) {
	for name, c := range map[string]struct {
		program string
		words   []string
	}{
		"missing":        {"/usr/local/bin/nosuch", []string{"/usr/local/bin/nosuch", "no such file"}},
		"not-executable": {"/etc/passwd", []string{"/etc/passwd", "chmod a+x"}},
		"a-directory":    {"/usr/local/bin", []string{"/usr/local/bin", "not a regular file"}},
		"the-agents":     {"/sandbox/agent", []string{"/sandbox", "uid 9002", "chown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkRefused(t, harness.Options{Config: map[string]any{"gateway": map[string]any{"command": []string{c.program}}}}, 1, c.words...)
		})
	}
	t.Run("not-a-program", func(t *testing.T) {
		t.Parallel()
		dir := configDir(t)
		write(t, filepath.Join(dir, "gateway"), []byte("not a program\n"), 0o755)
		checkRefused(t, harness.Options{
			Config: map[string]any{"gateway": map[string]any{"command": []string{"/opt/gateway"}}},
			Extra:  []string{"-v", dir + ":/opt:ro"},
		}, 1, "/opt/gateway", "exec format error")
	})
}

// Root owned the interpreter, but the agent owned the script. The next start would
// have given the token to the agent's code.
func TestScriptRefused(t *testing.T) {
	command := []string{"/usr/local/bin/demogateway", "run", "/opt/scripts/gateway.mjs"}
	scripts := func(t *testing.T, uid int) (dir string, extra []string) {
		dir = configDir(t)
		path := filepath.Join(dir, "gateway.mjs")
		write(t, path, []byte("script\n"), 0o644)
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
		return dir, []string{"-v", dir + ":/opt/scripts"}
	}
	gateway := map[string]any{"gateway": map[string]any{"command": command}}
	t.Run("boot", func(t *testing.T) {
		t.Parallel()
		_, extra := scripts(t, harness.SandboxUID)
		checkRefused(t, harness.Options{Config: gateway, Extra: extra}, 1, "/opt/scripts/gateway.mjs", "uid 9002", "chown")
	})
	t.Run("boot-operators-sidecar", func(t *testing.T) {
		t.Parallel()
		_, extra := scripts(t, harness.SandboxUID)
		checkRefused(t, harness.Options{Extra: extra, Config: map[string]any{"sidecars": []any{map[string]any{
			"name": "pair", "user": "operator", "command": command}}}}, 1, "/opt/scripts/gateway.mjs", "uid 9002")
	})
	t.Run("restart", func(t *testing.T) {
		t.Parallel()
		dir, extra := scripts(t, 0)
		path := filepath.Join(dir, "gateway.mjs")
		c := harness.Start(t, harness.Options{Config: gateway, Extra: extra})
		old := c.WaitServing(20 * time.Second).Gateway.Process
		if err := os.Chown(path, harness.SandboxUID, 0); err != nil {
			t.Fatal(err)
		}
		if r := c.Ctl("restart"); r.Code != 3 || !strings.Contains(r.Stderr, "unsafe-config") {
			t.Errorf("with the agent's script: %v", r)
		}
		if log := c.Logs(); !strings.Contains(log, "/opt/scripts/gateway.mjs: is owned by uid 9002") {
			t.Errorf("the log does not name it:\n%s", log)
		}
		if now := c.WaitServing(0); now.Gateway.Process != old {
			t.Errorf("the old gateway was given up: %+v, was %+v", now.Gateway.Process, old)
		}
		if err := os.Remove(path); err != nil { // PID 1 leaves a missing script to the gateway
			t.Fatal(err)
		}
		c.MustCtl("restart")
	})
}
