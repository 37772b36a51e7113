// SPDX-License-Identifier: Apache-2.0

package runtimedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// gid is the gateway's group.
const gid = testenv.Gateway

// mount puts a file system at a place of the test's own mount namespace.
func mount(kind, at, options string) error { return unix.Mount("none", at, kind, 0, options) }

// container makes the places of the table below. /mnt is a memory file system as an
// engine mounts it, with the parents that a runtime directory may have.
func container(t *testing.T) {
	t.Helper()
	at := func(name string, uid int, mode fs.FileMode) error {
		return errors.Join(os.Mkdir("/mnt"+name, 0o700), os.Chmod("/mnt"+name, mode), os.Chown("/mnt"+name, uid, 0))
	}
	testenv.Must(t, mount("tmpfs", "/mnt", "mode=0755"))
	testenv.Must(t, errors.Join(
		at("/run", 0, 0o755), at("/tmp", 0, 0o777|fs.ModeSticky), at("/loose", 0, 0o777), at("/group", 0, 0o775),
		at("/theirs", testenv.Stranger, 0o755), at("/theirsticky", testenv.Stranger, 0o777|fs.ModeSticky),
		at("/has", 0, 0o755), at("/disk", 0, 0o755),
		at("/has/ours", 0, 0o710), os.Chown("/mnt/has/ours", 0, gid), at("/has/private", 0, 0o700), at("/has/foreign", testenv.Stranger, 0o700),
		at("/has/othergroup", 0, 0o710), at("/has/blockedgroup", 0, 0o701), os.Chown("/mnt/has/blockedgroup", 0, gid),
		at("/has/loose", 0, 0o777), at("/has/gateway", testenv.Gateway, 0o700), at("/has/0711", 0, 0o711),
		os.Symlink("ours", "/mnt/has/link"), os.Symlink("nowhere", "/mnt/has/dangling"), os.Symlink("has", "/mnt/linked"),
		os.WriteFile("/mnt/has/file", nil, 0o600), unix.Mkfifo("/mnt/has/fifo", 0o600),
		at("/mounts", 0, 0o755), at("/mounts/good", 0, 0o755), mount("tmpfs", "/mnt/mounts/good", "mode=0711,size=1m"),
		at("/mounts/default", 0, 0o755), mount("tmpfs", "/mnt/mounts/default", ""),
		at("/mounts/emptydir", 0, 0o755), mount("tmpfs", "/mnt/mounts/emptydir", "mode=0777"),
		at("/mounts/fsgroup", 0, 0o755), mount("tmpfs", "/mnt/mounts/fsgroup", fmt.Sprintf("mode=2777,gid=%d", gid)),
		at("/mounts/used", 0, 0o755), mount("tmpfs", "/mnt/mounts/used", "mode=0777"), os.WriteFile("/mnt/mounts/used/file", nil, 0o600),
		at("/mounts/theirs", 0, 0o755), mount("tmpfs", "/mnt/mounts/theirs", fmt.Sprintf("mode=0777,uid=%d", testenv.Stranger)),
		at("/mounts/ramfs", 0, 0o755), mount("ramfs", "/mnt/mounts/ramfs", "mode=0755"),
		at("/mounts/twice", 0, 0o755), mount("proc", "/mnt/mounts/twice", ""), mount("tmpfs", "/mnt/mounts/twice", "mode=0711"),
		at("/loose/mount", 0, 0o755), mount("tmpfs", "/mnt/loose/mount", "mode=0711"),
		at("/disk/proc", 0, 0o755), mount("proc", "/mnt/disk/proc", ""),
	))
}

// TestOpen checks where the token is written, which other users could write there,
// and which could put another directory in its place.
func TestOpen(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	container(t)
	const closed = 0o700 // the mode of a directory that we make or mend
	for name, c := range map[string]struct {
		path   string
		want   error  // nil: opens as
		mode   uint32 //
		gid    uint32
		shared string
		says   string
	}{
		"made":                {"/run/x", nil, closed, 0, "", ""},
		"made-in-sticky":      {"/tmp/x", nil, closed, 0, "/mnt/tmp", ""},
		"of-a-former-release": {"/has/ours", nil, closed, gid, "", ""}, // root:gateway 0710
		"private":             {"/has/private", nil, closed, 0, "", ""},
		"other-group":         {"/has/othergroup", nil, closed, 0, "", ""},
		"blocked-group":       {"/has/blockedgroup", nil, closed, gid, "", ""},
		"0711":                {"/has/0711", nil, closed, 0, "", ""},
		"mount":               {"/mounts/good", nil, closed, 0, "", ""},
		"ramfs":               {"/mounts/ramfs", nil, closed, 0, "", ""},
		"mounted-twice":       {"/mounts/twice", nil, closed, 0, "", ""},
		"mount-in-loose":      {"/loose/mount", nil, closed, 0, "", ""}, // a mount point cannot be renamed
		"mount-of-mode-1777":  {"/mounts/default", nil, closed, 0, "", ""},
		"mount-of-mode-0777":  {"/mounts/emptydir", nil, closed, 0, "", ""},
		"mount-of-fs-group":   {"/mounts/fsgroup", nil, closed, gid, "", ""}, // Kubernetes' securityContext.fsGroup
		"mount-in-use":        {"/mounts/used", fsafe.ErrUnsafe, 0, 0, "", "is writable by others (mode 0777): run with --tmpfs /mnt/mounts/used:mode=0700,size=1m"},
		"mount-of-another":    {"/mounts/theirs", fsafe.ErrUnsafe, 0, 0, "", "--tmpfs /mnt/mounts/theirs:mode=0700,size=1m"},
		"loose":               {"/has/loose", fsafe.ErrUnsafe, 0, 0, "", "is writable by others"},
		"foreign":             {"/has/foreign", fsafe.ErrUnsafe, 0, 0, "", "is owned by uid 54322"},
		"the-gateway's":       {"/has/gateway", fsafe.ErrUnsafe, 0, 0, "", "is owned by uid 54321"},
		"link":                {"/has/link", fsafe.ErrUnsafe, 0, 0, "", "/mnt/has/link"},
		"dangling":            {"/has/dangling", fsafe.ErrUnsafe, 0, 0, "", "/mnt/has/dangling"},
		"file":                {"/has/file", fsafe.ErrUnsafe, 0, 0, "", "/mnt/has/file"},
		"fifo":                {"/has/fifo", fsafe.ErrUnsafe, 0, 0, "", "/mnt/has/fifo"},
		"link-in-the-way":     {"/linked/ours", fsafe.ErrUnsafe, 0, 0, "", "/mnt/linked"},
		"loose-parent":        {"/loose/x", fsafe.ErrUnsafe, 0, 0, "", "not sticky"},
		"group-parent":        {"/group/x", fsafe.ErrUnsafe, 0, 0, "", "not sticky"},
		"strange-parent":      {"/theirs/x", fsafe.ErrUnsafe, 0, 0, "", "/mnt/theirs: is owned by"},
		"strange-sticky":      {"/theirsticky/x", fsafe.ErrUnsafe, 0, 0, "", "/mnt/theirsticky: is owned by"},
		"file-in-the-way":     {"/has/file/x", fsafe.ErrUnsafe, 0, 0, "", "/mnt/has/file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/mnt" + c.path
			d, err := Open(path, true)
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %v that says %q", err, c.want, c.says)
			}
			if err != nil {
				return
			}
			defer d.File.Close()
			i, err := fsafe.Stat(d.File)
			testenv.Must(t, err)
			var st unix.Stat_t
			testenv.Must(t, unix.Lstat(path, &st))
			if i.Mode != c.mode || i.UID != 0 || i.GID != c.gid || st.Ino != i.Ino {
				t.Errorf("opened %+v", i)
			}
			if d.Path != path || d.Shared != c.shared || d.Disk != "" {
				t.Errorf("got %+v", d)
			}
			again, err := Open(path, true) // the next run
			testenv.Must(t, err)
			again.File.Close()
		})
	}
	t.Run("existing-in-loose-parent", func(t *testing.T) {
		testenv.Must(t, os.Mkdir("/mnt/loose/x", 0o700))
		if d, err := Open("/mnt/loose/x", true); !errors.Is(err, fsafe.ErrUnsafe) {
			t.Errorf("got %v %v, want a refusal", d, err)
		}
	})
}

// TestFallback checks that the one memory file system of a container without --tmpfs
// that only root can write, its /dev, is used.
func TestFallback(t *testing.T) {
	for name, c := range map[string]struct {
		dev  func() error
		path string
		want bool
		says string
	}{
		"not-tmpfs":      {func() error { return mount("tmpfs", "/dev", "mode=0755") }, "/mnt/disk/proc/x", true, ""},
		"parent-missing": {func() error { return mount("tmpfs", "/dev", "mode=0755") }, "/mnt/missing/x", true, ""},
		"neither":        {func() error { return mount("proc", "/dev", "") }, "/mnt/disk/proc/x", false, "run with --tmpfs /mnt/disk/proc/x:mode=0700,size=1m"},
		"dev-loose":      {func() error { return mount("tmpfs", "/dev", "mode=0777") }, "/mnt/disk/proc/x", false, "not sticky"},
		"dev-squatted": {func() error {
			return errors.Join(mount("tmpfs", "/dev", "mode=1777"), os.Mkdir(fallbackDir, 0o700), os.Chown(fallbackDir, testenv.Stranger, 0))
		}, "/mnt/disk/proc/x", false, "is owned by uid"},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			container(t)
			testenv.Must(t, c.dev())
			d, err := Open(c.path, true)
			if c.want {
				testenv.Must(t, err)
				if d.Path != fallbackDir || d.Disk != "" {
					t.Errorf("got %+v", d)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v %v, want an error that says %q", d, err, c.says)
			}
		})
	}
}

// TestDisk checks that only require_tmpfs: false permits a disk, which Disk names.
func TestDisk(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	container(t)
	disk := t.TempDir()
	var st unix.Statfs_t
	testenv.Must(t, unix.Statfs(disk, &st))
	if st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC {
		disk = testdata(t)
	}
	d, err := Open(disk+"/x", false)
	testenv.Must(t, err)
	defer os.Remove(disk + "/x")
	if d.Path != disk+"/x" || d.Disk == "" || d.Disk == "tmpfs" {
		t.Errorf("got %+v", d)
	}
	if _, err := (rules{}).open(disk+"/x", true); !errors.Is(err, errNotTmpfs) {
		t.Errorf("the same where a disk is not permitted: %v", err)
	}
	// A disk is permitted and not demanded, so memory is accepted as such.
	d, err = Open("/mnt/run/x", false)
	testenv.Must(t, err)
	if d.Disk != "" {
		t.Errorf("a tmpfs passes for a %s", d.Disk)
	}
}

// testdata returns a directory of the source tree, where /tmp is a memory file system
// itself.
func testdata(t *testing.T) string {
	t.Helper()
	wd, err := os.Getwd()
	testenv.Must(t, err)
	d, err := os.MkdirTemp(wd, "disk")
	testenv.Must(t, err)
	testenv.Must(t, os.Chmod(d, 0o755))
	t.Cleanup(func() { os.Remove(d) })
	return d
}

// TestSystemCallFails checks that an error of the kernel is never a good answer.
func TestSystemCallFails(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		call uint32
	}{
		"no-statfs":     {"/mnt/has/ours", unix.SYS_FSTATFS},
		"no-statfs-new": {"/mnt/run/x", unix.SYS_FSTATFS},
		"no-mkdir":      {"/mnt/run/x", unix.SYS_MKDIRAT},
		"no-chown":      {"/mnt/run/x", unix.SYS_FCHOWN},
		"no-mend-chmod": {"/mnt/has/0711", unix.SYS_FCHMOD},
		"no-stat":       {"/mnt/has/ours", unix.SYS_FSTAT},
		"no-open":       {"/mnt/has/ours", unix.SYS_OPENAT},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			container(t)
			testenv.Refuse(t, unix.EIO, c.call)
			if d, err := Open(c.path, true); !errors.Is(err, syscall.EIO) {
				t.Errorf("got %v %v, want %v", d, err, syscall.EIO)
			}
		})
	}
	t.Run("no-proc", func(t *testing.T) {
		if !testenv.Inside(t, unix.CLONE_NEWNS) {
			return
		}
		container(t)
		testenv.Must(t, mount("tmpfs", "/proc", ""))
		if d, err := Open("/mnt/has/ours", true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v %v, want %v", d, err, fs.ErrNotExist)
		}
		testenv.Must(t, os.Mkdir("/proc/self", 0o755))
		for _, text := range []string{"", "garbage\n", "1 2 0:3 / /elsewhere rw - tmpfs none rw\n"} {
			testenv.Must(t, os.WriteFile("/proc/self/mountinfo", []byte(text), 0o600))
			if d, err := Open("/mnt/has/ours", true); err == nil || !strings.Contains(err.Error(), "mount") {
				t.Errorf("mounts %q: got %v %v", text, d, err)
			}
		}
		// fstatfs(2) cannot tell a devtmpfs, which is the host's, from a tmpfs.
		testenv.Must(t, os.WriteFile("/proc/self/mountinfo", []byte("1 2 0:3 / /mnt rw - devtmpfs none rw\n"), 0o600))
		if d, err := (rules{}).open("/mnt/has/ours", true); !errors.Is(err, errNotTmpfs) {
			t.Errorf("a devtmpfs: got %v %v, want %v", d, err, errNotTmpfs)
		}
	})
}
