// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestMakeDir(t *testing.T) {
	testenv.Root(t)
	d := plant(t)
	dir := testenv.Dir(t, d)
	for _, mode := range []uint32{0o700, 0o710, 0o755, 0o1777, 0o2770} {
		f, err := MakeDir(dir, "made", mode)
		testenv.Must(t, err)
		if _, err := Verify(f, Want{Type: Directory, UID: ID(0), Mode: Mode(mode)}); err != nil {
			t.Error(err)
		}
		f.Close()
		testenv.Must(t, RemoveDir(dir, "made"))
	}
	for _, name := range []string{"file", "link", "dangling", "dir", "dirlink", "fifo"} {
		if _, err := MakeDir(dir, name, 0o700); !errors.Is(err, fs.ErrExist) {
			t.Errorf("over %s: got %v, want %v", name, err, fs.ErrExist)
		}
	}
	_, err := MakeDir(dir, "../d", 0o700)
	refused(t, err, "../d")
}

// TestMakeFIFO checks that the FIFO has no end of file, and that a reader waits in
// the poller. Otherwise it would hold one more thread at the pids limit.
func TestMakeFIFO(t *testing.T) {
	testenv.Root(t)
	d := plant(t)
	dir := testenv.Dir(t, d)
	f, i, err := MakeFIFO(dir, "request", 0o600)
	testenv.Must(t, err)
	defer f.Close()
	if at, err := VerifyAt(dir, "request", Want{Type: FIFO, UID: ID(0), Mode: Mode(0o600), Links: 1}); err != nil || !at.Same(i) {
		t.Errorf("%v, %+v is not %+v", err, at, i)
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 || flags&unix.O_ACCMODE != unix.O_RDWR {
		t.Errorf("flags %#o, %v", flags, err)
	}
	testenv.Must(t, f.SetReadDeadline(time.Now().Add(time.Millisecond)))
	if n, err := f.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an empty FIFO: %d %v", n, err)
	}
	for _, name := range []string{"file", "link", "dangling", "dir", "fifo", "request"} {
		if _, _, err := MakeFIFO(dir, name, 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("over %s: got %v, want %v", name, err, fs.ErrExist)
		}
	}
	_, _, err = MakeFIFO(dir, "a/b", 0o600)
	refused(t, err, "a/b")
}

// TestLimitedRoot checks that all of it works for the root that PID 1 is at the end,
// without CAP_FOWNER and CAP_DAC_OVERRIDE.
func TestLimitedRoot(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	d := t.TempDir()
	testenv.Must(t, errors.Join(os.Mkdir(d+"/theirs", 0o755), os.Chown(d+"/theirs", testenv.Stranger, 0)))
	privs.Drop(privs.Needed)
	dir := testenv.Dir(t, d)
	f, err := WriteNew(dir, "token", []byte("x"), 0o400, &Owner{testenv.Gateway, testenv.Gateway})
	testenv.Must(t, err)
	f.Close()
	if _, err := OpenAt(dir, "token", unix.O_RDONLY); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("root reads the token: %v", err)
	}
	// A killed writer's file that was given away already is replaced.
	testenv.Must(t, Rename(dir, "token", "token"+NewSuffix))
	testenv.Must(t, Replace(dir, "token", []byte("y"), 0o600))
	testenv.Must(t, Remove(dir, "token"))
	sub, err := MakeDir(dir, "sub", 0o710)
	testenv.Must(t, err)
	testenv.Must(t, Chown(sub, 0, testenv.Gateway))
	sub.Close()

	theirs, err := OpenDirAt(dir, "theirs")
	testenv.Must(t, err)
	defer theirs.Close()
	if _, err := CreateAt(theirs, "n", 0o600); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("created in a stranger's directory: %v", err)
	}
	if _, err := MakeDir(theirs, "n", 0o700); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("made in a stranger's directory: %v", err)
	}
	if err := Chmod(theirs, 0o777); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("changed a stranger's mode: %v", err)
	}
	if f, err := MakeDir(dir, "unreadable", 0o300); err != nil {
		t.Errorf("a directory its owner cannot list: %v", err)
	} else {
		f.Close()
	}
}

// TestRemoveLeftover checks that a leftover is removed only if it can be ours. Any
// other entry stays, and the error has its name and the remedy.
func TestRemoveLeftover(t *testing.T) {
	dir := testenv.Tmpfs(t)
	for name, c := range map[string]struct {
		plant func(path string) error
		want  string // part of the refusal; "" is removed
	}{
		"nothing":       {func(string) error { return nil }, ""},
		"ours":          {func(p string) error { return os.WriteFile(p, nil, 0o400) }, ""},
		"the-gateway's": {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o400), os.Chown(p, testenv.Gateway, 0)) }, ""},
		"a-stranger's": {func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o400), os.Chown(p, testenv.Stranger, 0))
		}, "owned by uid"},
		"a-link":         {func(p string) error { return os.Symlink("/etc/passwd", p) }, "symbolic link"},
		"a-dangling-one": {func(p string) error { return os.Symlink("nowhere", p) }, "symbolic link"},
		"a-directory":    {func(p string) error { return os.Mkdir(p, 0o700) }, "directory"},
		"linked-twice":   {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o400), os.Link(p, p+"2")) }, "links"},
	} {
		t.Run(name, func(t *testing.T) {
			path := testenv.Path(dir, "left")
			testenv.Must(t, c.plant(path))
			t.Cleanup(func() { os.Remove(path); os.Remove(path + "2") })
			err := RemoveLeftover(dir, "left", 0, testenv.Gateway)
			_, gone := os.Lstat(path)
			if c.want == "" && (err != nil || !errors.Is(gone, os.ErrNotExist)) {
				t.Errorf("got %v, file: %v", err, gone)
			}
			if c.want != "" && (!errors.Is(err, ErrUnsafe) || !errors.Is(err, ErrRemove) || !strings.HasSuffix(err.Error(), ": remove it") || !strings.Contains(err.Error(), c.want) ||
				!strings.Contains(err.Error(), filepath.Base(path)) || gone != nil) {
				t.Errorf("got %v, file: %v", err, gone)
			}
		})
	}
}
