// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// mountFlags returns the flags that mount a built program, with a mode, over one of the
// image.
func mountFlags(t *testing.T, name, at string, mode fs.FileMode) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(t), "bin", name))
	must(t, err)
	file := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(file, data, 0o600))
	must(t, os.Chmod(file, mode))
	return []string{"-v", file + ":" + at + ":ro"}
}

// Boot names each protection that the image, its configuration or the container's PATH
// lacks. With require_hardening it ends for each, except the one that not every gateway
// can have.
func TestHardeningOfTheImage(t *testing.T) {
	const demo = "/usr/local/bin/demogateway"
	node := map[string]any{"gateway": map[string]any{"command": []string{"/usr/local/bin/node"}}}
	closedNode := map[string]any{"gateway": map[string]any{"command": []string{"/usr/local/bin/node"}, "env": map[string]string{"NODE_OPTIONS": "--disable-sigusr1"}}}
	for name, c := range map[string]struct {
		extra  []string
		config map[string]any
		want   string
	}{
		"nothing-open":   {mountFlags(t, "demogateway", demo, 0o711), nil, ""},
		"readable":       {mountFlags(t, "demogateway", demo, 0o755), nil, "environ-readable"},
		"init-readable":  {append(mountFlags(t, "demogateway", demo, 0o711), mountFlags(t, "gateway-init", "/usr/local/sbin/gateway-init", 0o755)...), nil, "launch-traceable"},
		"path-is-open":   {append(mountFlags(t, "demogateway", demo, 0o711), "-e", "PATH=/tmp:/usr/local/bin"), nil, "path"},
		"path-of-agent":  {append(mountFlags(t, "demogateway", demo, 0o711), "-e", "PATH=/sandbox/bin:/usr/local/bin"), nil, "path"},
		"node":           {mountFlags(t, "demogateway", "/usr/local/bin/node", 0o711), node, "node-debugger"},
		"node-is-closed": {mountFlags(t, "demogateway", "/usr/local/bin/node", 0o711), closedNode, ""},
		"not-confined":   {mountFlags(t, "demogateway", demo, 0o711), map[string]any{"gateway": map[string]any{"confine": "none"}}, status.OpenInChildren},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := harness.Start(t, harness.Options{Extra: c.extra, Config: c.config, Published: true})
			var want []string
			if c.want != "" {
				want = append(want, c.want)
			}
			logged := func(name string) bool { return strings.Contains(box.Logs(), `"event":"hardening","name":"`+name+`"`) }
			harness.Eventually(t, 30*time.Second, "hardening to be logged", func() error {
				for _, name := range want {
					if !logged(name) {
						return fmt.Errorf("no %s: %s", name, box.Logs())
					}
				}
				return nil
			})
			r := box.WaitServing(30 * time.Second)
			var names []string
			for _, h := range r.Hardening {
				names = append(names, h.Name)
			}
			if slices.Sort(names); !slices.Equal(names, slices.Sorted(slices.Values(want))) {
				t.Errorf("hardening names %q, want %q", names, want)
			}
			line := "\nhardening     1 protection missing: " + c.want
			switch c.want {
			case "":
				line = "\nhardening     complete\n"
			case status.OpenInChildren:
				line = "\nhardening     complete, beside what the configuration leaves open"
			}
			if human := box.Ctl("status", "-v").Unwrapped().Stdout; !strings.Contains(human, line) {
				t.Errorf("status says\n%s", human)
			}
		})
		t.Run(name+"-required", func(t *testing.T) {
			t.Parallel()
			config := map[string]any{"require_hardening": true}
			for key, value := range c.config {
				config[key] = value
			}
			box := harness.Start(t, harness.Options{Extra: c.extra, Config: config, Published: true})
			if c.want == "" || c.want == status.OpenInChildren {
				box.WaitServing(30 * time.Second)
				return
			}
			if code := box.WaitExit(30 * time.Second); code != 1 || !strings.Contains(box.Logs(), fmt.Sprintf("require_hardening is set and %q is missing", c.want)) {
				t.Errorf("exit code %d: %s", code, box.Logs())
			}
		})
	}
}

// Without root the gateway must be readable. That is the only protection to name.
func TestHardeningWithoutRoot(t *testing.T) {
	for name, c := range map[string]struct {
		mode fs.FileMode
		want bool
	}{"execute-only": {0o711, true}, "readable": {0o755, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := harness.Start(t, harness.Options{Flags: harness.NonRootFlags(t), NoState: true, Extra: mountFlags(t, "demogateway", "/opt/demogateway", c.mode),
				Config: map[string]any{"gateway": map[string]any{"working_dir": "/", "command": []string{"/opt/demogateway"}}}})
			harness.Eventually(t, 30*time.Second, "a gateway to be started", func() error {
				if !strings.Contains(box.Logs(), `"event":"gateway-started"`) {
					return fmt.Errorf("log: %s", box.Logs())
				}
				return nil
			})
			if got := strings.Contains(box.Logs(), `"name":"gateway-not-readable"`); got != c.want || strings.Count(box.Logs(), `"event":"hardening"`) > 1 {
				t.Errorf("named: %t: %s", got, box.Logs())
			}
		})
	}
}
