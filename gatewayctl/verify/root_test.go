// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestUnread checks that an unreadable path is reported, and is no success.
func TestUnread(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	f := demo(t)
	root := f.write(t)
	testenv.Refuse(t, unix.EIO, unix.SYS_FGETXATTR)
	bad, all, r := result(t, Root(root), f.options)
	tree := all["tree"]
	if len(bad) != 0 || r.OK || tree.OK() || tree.Result != NotAvailable || !strings.Contains(tree.Detail, "/etc/gateway-init/config.json: input/output error") {
		t.Errorf("failed %v, ok %v, tree %+v", bad, r.OK, tree)
	}
}

// TestNotRoot checks the report of a user without root.
func TestNotRoot(t *testing.T) {
	f := openclaw(t)
	f.runs = true
	root := f.write(t)
	for dir := filepath.Dir(root); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		testenv.Must(t, os.Chmod(dir, 0o755))
	}
	// One thread is another user for a moment, and the check stays on that thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid uintptr) {
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uid, ^uintptr(0)); e != 0 {
			t.Fatal(e)
		}
	}
	become(testenv.Stranger)
	bad, all, r := result(t, Root(root), f.options)
	become(0)
	if len(bad) != 0 || r.OK {
		t.Errorf("failed %v, ok %v", bad, r.OK)
	}
	for name, detail := range map[string]string{
		"tree": "permission denied", "hashes": "cannot read /usr/local/sbin/gateway-init", "release": "only root can run it without rights",
		"probe-root": "only root can run it without rights",
	} {
		if c := all[name]; c.Result != NotAvailable || c.OK() || !strings.Contains(c.Detail, detail) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestMounts checks that a mounted tmpfs is left out and another file system is not.
func TestMounts(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	f := demo(t)
	f.base()["/run"], f.base()["/proc"], f.base()["/srv"] = dir(0o755, 0), dir(0o755, 0), dir(0o755, 0)
	root := f.write(t)
	mount := func(source, at, kind string, flags uintptr, data string) {
		testenv.Must(t, unix.Mount(source, root+at, kind, flags, data))
		t.Cleanup(func() { testenv.Must(t, unix.Unmount(root+at, 0)) })
	}
	mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
	testenv.Must(t, os.WriteFile(root+"/run/gateway-token", nil, 0o400))
	mount("proc", "/proc", "proc", 0, "")
	_, all, r := result(t, Root(root), f.options)
	if c := all["tree"]; !r.OK || !strings.HasSuffix(c.Detail, "mounted and left out: /proc, /run") {
		t.Errorf("%+v", c)
	}
	other := t.TempDir()
	testenv.Must(t, os.WriteFile(other+"/gateway-token", nil, 0o400))
	mount(other, "/srv", "", unix.MS_BIND, "")
	if bad, _, _ := result(t, Root(root), f.options); len(bad) != 1 || bad[0] != "token-files" {
		t.Errorf("failed %v", bad)
	}
	if _, all, _ := result(t, Root(root+"/run"), Options{Profile: "demo"}); all["token-files"].Result != Failed {
		t.Errorf("a tmpfs that is the image: %+v", all["token-files"])
	}
}

func TestRootRefuses(t *testing.T) {
	dir := t.TempDir()
	testenv.Must(t, os.Symlink(dir, dir+"/link"))
	testenv.Must(t, os.WriteFile(dir+"/file", nil, 0o600))
	for _, path := range []string{dir + "/link", dir + "/file", dir + "/missing"} {
		if r, err := Run(context.Background(), Root(path), Options{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
}

// TestTooDeep checks that endless depth ends the walk, not the process.
func TestTooDeep(t *testing.T) {
	root := t.TempDir()
	d := testenv.Dir(t, root)
	for range maxDepth {
		sub, err := fsafe.MakeDir(d, "d", 0o755)
		testenv.Must(t, err)
		t.Cleanup(func() { sub.Close() })
		d = sub
	}
	if _, err := Run(context.Background(), Root(root), Options{}); err == nil || !strings.Contains(err.Error(), "more than 256 levels deep") {
		t.Errorf("got %v", err)
	}
}

// TestAccepted checks that the links of a merged /usr are accepted, and links to
// programs that only root can change.
func TestAccepted(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"merged-usr":      all(swap(config.DefaultFile, "/usr/local/bin/demogateway", "/bin/demogateway"), put("/usr/bin/demogateway", file(0o755, "x"))),
		"program-link":    all(put("/usr/local/bin/demogateway", symlink("/opt/demo")), put("/opt", dir(0o755, 0)), put("/opt/demo", file(0o755, "x"))),
		"setgid-folder":   put("/var/mail", dir(0o2775, 0)),
		"sticky":          put("/var/tmp", dir(0o1777, 0)),
		"device-in-dev":   all(put("/dev", dir(0o755, 0)), put("/dev/null", entry{kind: character, mode: 0o666})),
		"compiler-here":   put("/usr/bin/gcc", file(0o755, "")), // the demo's profile has no such check
		"other-status":    put("/opt/status.json", file(0o644, "{}")),
		"other-state":     put("/opt/paired.json", file(0o644, "{}")),
		"clean-backup":    put("/sandbox/openclaw.json.bak", file(0o600, `{"gateway":{"auth":{"token":{"source":"env"}}}}`)),
		"other-extension": put("/opt/openclaw.jsonx", file(0o600, secretConfig)),
		"group-of-agents": edit(groupPath, func(e entry) entry { return e.text(e.data + "video:x:44:sandbox\n") }),
		"non-root":        nonRoot,
		"non-root-0755":   all(nonRoot, mode(initPath, 0o755), mode(ctlPath, 0o755)),
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			change(f)
			if bad, all, r := result(t, Root(f.write(t)), f.options); !r.OK {
				t.Errorf("failed %v, %+v", bad, all)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	tr := newTree()
	top := upper{tree: tr, number: 1, implied: map[string]bool{}}
	for path, n := range map[string]*node{
		"/a/b/c": {kind: fsafe.Regular}, "/a/up": {kind: link, target: ".."}, "/a/abs": {kind: link, target: "/a/./b"}, "/l": {kind: link, target: "a/b/../b/c"},
		"/dot": {kind: link, target: "."}, "/ring": {kind: link, target: "ring"}, "/a/out": {kind: link, target: "../../../a/b"},
	} {
		testenv.Must(t, top.add(path, n))
	}
	for from, want := range map[string]string{
		"/a/b/c": "/a/b/c", "/l": "/a/b/c", "/a/up/l": "/a/b/c", "/a/abs/c": "/a/b/c", "/dot": "/", "/": "/", "/dot/a/abs": "/a/b", "/a/out/c": "/a/b/c",
		"/a/b/c/d": "", "/ring": "", "/a/x": "", "/l/x": "",
	} {
		t.Run(strings.ReplaceAll(from, "/", "_"), func(t *testing.T) {
			steps := 0
			n, err := tr.follow(from, func(string, *node) error { steps++; return nil })
			if want == "" && err == nil || want != "" && (err != nil || n != tr.at(want)) || steps == 0 {
				t.Errorf("%v, %v after %d steps", n, err, steps)
			}
		})
	}
	stop := fmt.Errorf("stop")
	if _, err := tr.follow("/l", func(at string, _ *node) error { return map[string]error{"/a/b": stop}[at] }); err != stop {
		t.Errorf("got %v", err)
	}
}

// TestReplacedMeanwhile checks that a name that now means another file is refused.
func TestReplacedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	testenv.Must(t, os.WriteFile(dir+"/a", nil, 0o600))
	testenv.Must(t, os.WriteFile(dir+"/b", nil, 0o600))
	a, b := testenv.Dir(t, dir+"/a"), testenv.Dir(t, dir+"/b")
	seen, err := fsafe.Stat(a)
	testenv.Must(t, err)
	if _, err := verifySeen(a, seen); err != nil {
		t.Error(err)
	}
	if _, err := verifySeen(b, seen); err != errReplaced {
		t.Errorf("got %v", err)
	}
}
