// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
)

// put writes a file with an owner and a mode in a folder that only root changes.
func put(t *testing.T, dir, name, text string, mode fs.FileMode, uid, gid int) string {
	t.Helper()
	at := filepath.Join(dir, name)
	testenv.Must(t, errors.Join(os.WriteFile(at, []byte(text), 0o600), os.Chown(at, uid, gid), os.Chmod(at, mode)))
	return at
}

// found returns the detail of a name under hardening, and whether it is there.
func found(h hardening, name string) (string, bool) {
	i := slices.IndexFunc(h, func(x status.Hardening) bool { return x.Name == name })
	if i < 0 {
		return "", false
	}
	return h[i].Detail, true
}

// TestTraceableReexecChildIsNamed checks re-exec children that expose the token: one
// that can be traced, and one that is open between setuid and exec.
func TestTraceableReexecChildIsNamed(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		mode fs.FileMode
		uid  int
		says string
	}{
		"execute-only": {0o711, 0, ""}, "root-alone": {0o700, 0, ""}, "readable": {0o755, 0, "mode 0755 of uid 0"},
		"group-readable": {0o750, 0, "mode 0750"}, "of-another": {0o711, 9001, "mode 0711 of uid 9001"},
	} {
		t.Run(name, func(t *testing.T) {
			var h hardening
			h.traceable(put(t, dir, name, "x", c.mode, c.uid, 0))
			if got, ok := found(h, "launch-traceable"); ok != (c.says != "") || !strings.Contains(got, c.says) {
				t.Errorf("got %+v, want %q", h, c.says)
			}
		})
	}
	for value, want := range map[string]bool{"0\n": false, "1\n": true, "2\n": false} {
		var h hardening
		h.dumps(put(t, dir, "value", value, 0o644, 0, 0))
		if _, ok := found(h, "suid-dumpable"); ok != want {
			t.Errorf("fs.suid_dumpable=%q: %+v", value, h)
		}
	}
	var h hardening
	h.traceable(dir + "/nowhere")
	h.dumps(dir + "/nowhere")
	if len(h) != 2 || !strings.Contains(h[0].Detail, "cannot look") || !strings.Contains(h[1].Detail, "cannot read") {
		t.Errorf("what cannot be found out is %+v", h)
	}
	h = nil
	h.traceable(ownProgram)
	if _, err := os.ReadFile(suidDumpable); err != nil || len(h) != 1 { // a test binary is 0755
		t.Errorf("the kernel's own files: %+v, %v", h, err)
	}
}

// launched returns a bootstrap with one command, as far as programs needs it.
func launched(rootless bool, env []string, command ...string) *bootstrap {
	u := users.User{Name: "gateway", UID: 9001, GID: 9001, Groups: []uint32{9001, 9007}}
	if rootless {
		u.UID, u.GID, u.Groups = uint32(os.Geteuid()), uint32(os.Getegid()), nil
	}
	return &bootstrap{cfg: &config.Config{Gateway: config.Gateway{Command: command, Env: env}}, rootless: rootless, users: identities{gateway: u},
		env: environ.List{"PATH=" + environ.DefaultPath}, log: zerolog.New(io.Discard)}
}

// TestPrograms checks that each name appears where it must, and nowhere else.
func TestPrograms(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	testenv.Must(t, os.Chmod(dir, 0o755))
	open := put(t, dir, "open", "x", 0o755, 0, 0)
	closed := put(t, dir, "closed", "x", 0o711, 0, 0)
	put(t, dir, "node", "x", 0o711, 0, 0)
	testenv.Must(t, os.Symlink("node", dir+"/gatewayd"))
	for name, c := range map[string]struct {
		env     []string
		command []string
		want    string // name
		says    string
	}{
		"closed":             {nil, []string{closed}, "", ""},
		"open":               {nil, []string{open}, "environ-readable", open + " can be read"},
		"group":              {nil, []string{put(t, dir, "group", "x", 0o751, 0, 9007)}, "environ-readable", "group can be read"},
		"group-of-others":    {nil, []string{put(t, dir, "others", "x", 0o751, 0, 9008)}, "", ""},
		"group-alone":        {nil, []string{put(t, dir, "alone", "x", 0o715, 0, 9007)}, "", ""}, // the group's bits decide, not the others'
		"owner":              {nil, []string{put(t, dir, "owner", "x", 0o711, 9001, 0)}, "environ-readable", "owner can be read"},
		"script-of-closed":   {nil, []string{put(t, dir, "script", "#!"+closed+"\n", 0o755, 0, 0)}, "", ""},
		"script-of-open":     {nil, []string{put(t, dir, "script2", "#!"+open+" -x\n", 0o755, 0, 0)}, "environ-readable", open + " can be read"},
		"by-env":             {[]string{"PATH=" + dir}, []string{"/usr/bin/env", "closed"}, "", ""},
		"by-env-open":        {[]string{"PATH=" + dir}, []string{"/usr/bin/env", "open"}, "environ-readable", open + " can be read"},
		"missing":            {nil, []string{dir + "/nowhere"}, "environ-readable", "cannot tell which program runs"},
		"no-interpreter":     {nil, []string{put(t, dir, "script3", "#!/nowhere\n", 0o755, 0, 0)}, "environ-readable", "/nowhere"},
		"interpreter-no-x":   {nil, []string{put(t, dir, "script4", "#!"+put(t, dir, "plain", "x", 0o644, 0, 0)+"\n", 0o755, 0, 0)}, "environ-readable", "permission denied"},
		"node":               {nil, []string{dir + "/node", "/app.js"}, "node-debugger", "SIGUSR1 opens the debugger"},
		"node-by-a-link":     {nil, []string{dir + "/gatewayd", "/app.js"}, "node-debugger", "SIGUSR1 opens the debugger"},
		"node-by-env":        {[]string{"PATH=" + dir}, []string{put(t, dir, "app.js", "#!/usr/bin/env node\n", 0o755, 0, 0)}, "node-debugger", "SIGUSR1"},
		"node-closed":        {nil, []string{dir + "/node", "--disable-sigusr1", "/app.js"}, "", ""},
		"node-closed-by-env": {[]string{"NODE_OPTIONS=--disable-sigusr1"}, []string{dir + "/node", "/app.js"}, "", ""},
		"node-inspect":       {[]string{"NODE_OPTIONS=--disable-sigusr1"}, []string{dir + "/node", "--inspect", "/app.js"}, "node-debugger", "--inspect opens the debugger"},
	} {
		t.Run(name, func(t *testing.T) {
			b := launched(false, c.env, c.command...)
			b.programs()
			var names []string
			for _, h := range b.hardening {
				if h.Name != "launch-traceable" && h.Name != "suid-dumpable" { // these depend on the test binary and the machine
					names = append(names, h.Name)
				}
			}
			var want []string
			if c.want != "" {
				want = append(want, c.want)
			}
			if got, _ := found(b.hardening, c.want); !slices.Equal(names, want) || !strings.Contains(got, c.says) {
				t.Errorf("got %+v, want %q with %q", b.hardening, want, c.says)
			}
		})
	}
	b := launched(false, nil, open)
	b.settings.noGateway = true
	b.programs()
	if _, ok := found(b.hardening, "environ-readable"); ok {
		t.Errorf("without a gateway: %+v", b.hardening)
	}
}

// TestProgramsWithoutRoot checks that without root, where nothing is separated, only
// a problem that keeps a proof from working is listed, or a debugger's open port.
func TestProgramsWithoutRoot(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	dir := t.TempDir()
	for at := dir; at != "/tmp" && at != "/"; at = filepath.Dir(at) {
		testenv.Must(t, os.Chmod(at, 0o755))
	}
	open := put(t, dir, "open", "x", 0o755, 0, 0)
	closed := put(t, dir, "closed", "x", 0o711, 0, 0)
	script := put(t, dir, "script", "#!"+closed+"\n", 0o755, 0, 0)
	testenv.Must(t, unix.Setresuid(-1, testenv.Stranger, -1))
	defer func() { testenv.Must(t, unix.Setresuid(-1, 0, -1)) }()
	for command, want := range map[string]string{open: "", closed: "chmod a+r " + closed, script: "chmod a+r " + closed, "/nowhere": "cannot tell which program runs"} {
		b := launched(true, nil, command)
		b.programs()
		got, ok := found(b.hardening, "gateway-not-readable")
		if ok != (want != "") || !strings.Contains(got, want) || len(b.hardening) > 1 {
			t.Errorf("%s: got %+v, want %q", command, b.hardening, want)
		}
	}
}

// TestLookupPath checks the PATH by which docker exec, as root, finds gatewayctl.
func TestLookupPath(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		env  environ.List
		says string
	}{
		"unset":    {nil, ""},
		"usual":    {environ.List{"PATH=" + environ.DefaultPath}, ""},
		"relative": {environ.List{"PATH=bin:" + environ.DefaultPath}, "bin: is not an absolute path"},
		"writable": {environ.List{"PATH=/tmp:" + environ.DefaultPath}, "/tmp: lets others make files"},
		"agents":   {environ.List{"PATH=" + put(t, dir, "sub", "", 0o600, 9002, 0) + ":" + environ.DefaultPath}, "is owned by uid 9002"},
		"empty":    {environ.List{"PATH="}, "PATH is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			b := launched(false, nil)
			b.env = c.env
			b.lookupPath()
			if got, ok := found(b.hardening, "path"); ok != (c.says != "") || !strings.Contains(got, c.says) {
				t.Errorf("got %+v, want %q", b.hardening, c.says)
			}
		})
	}
}

// TestRequireHardening checks that require_hardening ends boot for each missing
// protection. The one name that not every gateway can do without ends no boot, alone or
// beside others.
func TestRequireHardening(t *testing.T) {
	for name, c := range map[string]struct {
		names []string
		says  string
	}{
		"nothing":  {nil, ""},
		"exempt":   {[]string{"environment-open-in-children"}, ""},
		"another":  {[]string{"environ-readable"}, `"environ-readable" is missing`},
		"and-both": {[]string{"environment-open-in-children", "pids-limit"}, `"pids-limit" is missing`},
		"asked":    {[]string{"gateway-not-confined", "environment-open-in-children"}, `"gateway-not-confined" is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bootstrap{cfg: &config.Config{RequireHardening: true}, log: zerolog.New(io.Discard)}
			for _, n := range c.names {
				b.hardening.add(n, "x")
			}
			if err := b.reportHardening(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
