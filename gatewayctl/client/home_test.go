// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
)

// mountPlaces mounts places for temporary homes. The agent can write to them.
func mountPlaces(t *testing.T) []string {
	t.Helper()
	for path, options := range map[string]string{"/mnt/tmpfs": "mode=1777", "/mnt/open": "mode=0777", "/mnt/foreign": "mode=1777,uid=54321"} {
		testenv.Must(t, os.Mkdir(path, 0o755))
		testenv.Must(t, unix.Mount("none", path, "tmpfs", 0, options))
	}
	return []string{"/mnt/missing", "/etc", "/proc", "/mnt/open", "/mnt/foreign", "/mnt/tmpfs"}
}

// TestOpenHome checks that the user's own home is used only if it is safe.
// Otherwise the home is one that no other user could have prepared.
func TestOpenHome(t *testing.T) {
	if !mountHome(t) {
		return
	}
	places := mountPlaces(t)
	for name, c := range map[string]struct {
		home    string
		prepare func() error
		why     string // "": it is used
	}{
		"own":       {"/mnt/home", nil, ""},
		"read-only": {"/mnt/ro", func() error { return unix.Mount("none", "/mnt/ro", "tmpfs", unix.MS_RDONLY, "uid=54322,mode=0700") }, "cannot write in /mnt/ro: read-only file system"},
		"full": {"/mnt/full", func() error {
			return unix.Mount("none", "/mnt/full", "tmpfs", 0, "uid=54322,mode=0700,nr_inodes=1")
		}, "no space left"},
		"missing":         {"/mnt/none", func() error { return os.Remove("/mnt/none") }, "no such file"},
		"root's":          {"/mnt/root", nil, "is owned by uid 0, not 54322"},
		"agent's":         {"/mnt/agents", func() error { return os.Chown("/mnt/agents", agent, agent) }, "is owned by uid 54321"},
		"group-writable":  {"/mnt/group", func() error { return mine("/mnt/group", 0o770) }, "is writable by others"},
		"not-searchable":  {"/mnt/closed", func() error { return mine("/mnt/closed", 0o600) }, "permission denied"},
		"below-the-agent": {"/mnt/agent/op", func() error { return mine("/mnt/agent/op", 0o700) }, "/mnt/agent: is owned by"},
		"link":            {"/mnt/link", func() error { return errors.Join(os.Remove("/mnt/link"), os.Symlink("/mnt/home", "/mnt/link")) }, "symbolic link"},
		"file":            {"/mnt/file", func() error { return errors.Join(os.Remove("/mnt/file"), os.WriteFile("/mnt/file", nil, 0o600)) }, "not a directory"},
		"relative":        {"home", nil, "is not an absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.home != "home" && c.home != "/mnt/home" {
				testenv.Must(t, os.Mkdir(c.home, 0o755))
			}
			if c.prepare != nil {
				testenv.Must(t, c.prepare())
			}
			h, err := openHome(users.User{Name: "op", UID: op, GID: op, Home: c.home}, places)
			testenv.Must(t, err)
			if c.why == "" {
				if h.path != c.home || h.parent != nil || h.notes() != nil {
					t.Errorf("%+v", h)
				}
			} else if !strings.HasPrefix(h.path, "/mnt/tmpfs/.gatewayctl-home-") || !strings.Contains(h.why, c.why) ||
				!strings.Contains(h.notes()[0], "--tmpfs "+c.home+":uid=54322,gid=54322,mode=0700") {
				t.Errorf("%s: %s; want %s", h.path, h.why, c.why)
			}
			ownedBy(t, h.path, op, 0o700)
			ownedBy(t, h.path+"/"+tmpDir, op, 0o700)
			if names, _ := filepath.Glob("/mnt/home/.gatewayctl-home*"); len(names) > 0 {
				t.Errorf("left in the home: %q", names)
			}
			testenv.Must(t, h.close())
			if _, err := os.Lstat(h.path); (err == nil) != (c.why == "") {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	if left, _ := os.ReadDir("/mnt/tmpfs"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func mine(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, mode), os.Chown(path, op, op))
}

func ownedBy(t *testing.T, path string, uid uint32, mode fs.FileMode) {
	t.Helper()
	st, err := os.Lstat(path)
	testenv.Must(t, err)
	var raw unix.Stat_t
	testenv.Must(t, unix.Lstat(path, &raw))
	if !st.IsDir() || raw.Uid != uid || st.Mode().Perm() != mode {
		t.Errorf("%s: %v of %d", path, st.Mode(), raw.Uid)
	}
}

// TestNoHome checks for one line that says what to add.
func TestNoHome(t *testing.T) {
	if !mountHome(t) {
		return
	}
	places := mountPlaces(t)
	h, err := openHome(users.User{Name: "op", UID: op, GID: op, Home: "/mnt/none"}, places[:len(places)-1])
	if h != nil || err == nil {
		t.Fatalf("got %+v", h)
	}
	for _, want := range []string{"cannot find a home for user op", "/mnt/missing: no such file", "/etc: is not a tmpfs", "/proc: is not a tmpfs",
		"/mnt/open: is not sticky", "/mnt/foreign: is owned by", "run the container with --tmpfs /mnt/none:uid=54322,gid=54322,mode=0700"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %q", want, err)
		}
	}
}

// TestTmpDir checks that an existing TMPDIR is used only if it is the user's own.
func TestTmpDir(t *testing.T) {
	if !mountHome(t) {
		return
	}
	const tmp = "/mnt/home/" + tmpDir
	u := users.User{Name: "op", UID: op, GID: op, Home: "/mnt/home"}
	for name, c := range map[string]struct {
		make func() error
		ok   bool
	}{
		"own":            {func() error { return mine(tmp, 0o700) }, true},
		"shared":         {func() error { return mine(tmp, 0o777) }, false},
		"agent's":        {func() error { return errors.Join(os.Mkdir(tmp, 0o755), os.Chown(tmp, agent, agent)) }, false},
		"link":           {func() error { return os.Symlink("/mnt/agent", tmp) }, false},
		"file":           {func() error { return os.WriteFile(tmp, nil, 0o600) }, false},
		"not-searchable": {func() error { return mine(tmp, 0) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.Must(t, os.RemoveAll(tmp))
			testenv.Must(t, c.make())
			h, err := openHome(u, nil)
			if (err == nil) != c.ok || !c.ok && (h != nil || !strings.Contains(err.Error(), "TMPDIR")) {
				t.Errorf("got %+v, %v", h, err)
			}
		})
	}
}

// TestRemove checks that everything is removed, and nothing behind a link.
func TestRemove(t *testing.T) {
	if !mountHome(t) {
		return
	}
	places := mountPlaces(t)[5:]
	u := users.User{Name: "op", UID: op, GID: op, Home: "/mnt/none"}
	open := func() *home {
		t.Helper()
		h, err := openHome(u, places)
		testenv.Must(t, err)
		return h
	}
	testenv.Must(t, errors.Join(mine("/mnt/home/kept", 0o700), os.WriteFile("/mnt/home/kept/file", nil, 0o600), os.Chown("/mnt/home/kept/file", op, op)))

	h := open()
	testenv.Must(t, mine(h.path+"/a/b/c", 0o700))
	for _, d := range []string{"/a", "/a/b"} {
		testenv.Must(t, mine(h.path+d, 0o700))
	}
	testenv.Must(t, errors.Join(
		os.WriteFile(h.path+"/a/b/read-only", nil, 0o400), os.Symlink("/mnt/home/kept", h.path+"/a/link"), os.Symlink("/mnt/home/kept/file", h.path+"/link"),
		unix.Mkfifo(h.path+"/a/fifo", 0o600)))
	testenv.Must(t, h.close())
	if _, err := os.Stat("/mnt/home/kept/file"); err != nil {
		t.Errorf("through a link: %v", err)
	}

	h = open()
	deep := h.path
	for range maxDepth + 2 {
		deep += "/d"
		testenv.Must(t, mine(deep, 0o700))
	}
	if err := h.close(); !errors.Is(err, errTooMuch) {
		t.Errorf("too deep: %v", err)
	}

	h = open()
	testenv.Must(t, errors.Join(os.Mkdir(h.path+"/agents", 0o755), os.WriteFile(h.path+"/agents/file", nil, 0o600)))
	if err := h.close(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "cannot remove the temporary home "+h.path) {
		t.Errorf("somebody else's: %v", err)
	}

	h = open()
	testenv.Must(t, errors.Join(os.Rename(h.path, h.path+"-away"), mine(h.path, 0o700)))
	if err := h.close(); !errors.Is(err, fsafe.ErrUnsafe) {
		t.Errorf("another directory: %v", err)
	}
	if _, err := os.Stat(h.path); err != nil {
		t.Errorf("the other directory: %v", err)
	}

	budget := 3
	dir := testenv.Dir(t, "/mnt/home")
	for i := range 5 {
		testenv.Must(t, os.WriteFile(fmt.Sprintf("/mnt/home/%d", i), nil, 0o600))
	}
	if err := removeContents(dir, maxDepth, &budget); !errors.Is(err, errTooMuch) {
		t.Errorf("too many: %v", err)
	}
}
