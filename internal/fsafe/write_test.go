// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"errors"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// names lists a directory.
func names(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	testenv.Must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	testenv.Must(t, err)
	return string(data)
}

func TestReplace(t *testing.T) {
	testenv.Root(t)
	for name, c := range map[string]struct {
		setup func(d string) error
		want  error // nil: "new" is installed with mode 0640
		left  []string
	}{
		"fresh":            {func(string) error { return nil }, nil, []string{"n"}},
		"over-a-file":      {func(d string) error { return os.WriteFile(d+"/n", []byte("old"), 0o600) }, nil, []string{"n"}},
		"over-a-link":      {func(d string) error { return os.Symlink("/etc/passwd", d+"/n") }, nil, []string{"n"}},
		"over-a-fifo":      {func(d string) error { return unix.Mkfifo(d+"/n", 0o600) }, nil, []string{"n"}},
		"leftover":         {func(d string) error { return os.WriteFile(d+"/n.new", []byte("half"), 0o400) }, nil, []string{"n"}},
		"over-a-directory": {func(d string) error { return os.Mkdir(d+"/n", 0o700) }, unix.EISDIR, []string{"n"}},
		"leftover-link":    {func(d string) error { return os.Symlink("/etc/passwd", d+"/n.new") }, ErrUnsafe, []string{"n.new"}},
		"leftover-dir":     {func(d string) error { return os.Mkdir(d+"/n.new", 0o700) }, ErrUnsafe, []string{"n.new"}},
		"leftover-fifo":    {func(d string) error { return unix.Mkfifo(d+"/n.new", 0o600) }, ErrUnsafe, []string{"n.new"}},
		"leftover-two-link": {func(d string) error {
			return errors.Join(os.WriteFile(d+"/a", nil, 0o600), os.Link(d+"/a", d+"/n.new"))
		}, ErrUnsafe, []string{"a", "n.new"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := t.TempDir()
			testenv.Must(t, c.setup(d))
			old := unix.Umask(0o777) // the umask must not matter
			err := Replace(testenv.Dir(t, d), "n", []byte("new"), 0o640)
			unix.Umask(old)
			if !errors.Is(err, c.want) || !slices.Equal(names(t, d), c.left) {
				t.Fatalf("got %v and %v, want %v and %v", err, names(t, d), c.want, c.left)
			}
			if err == nil {
				if i, err := os.Lstat(d + "/n"); err != nil || i.Mode() != 0o640 || content(t, d+"/n") != "new" {
					t.Errorf("installed %v %q %v", i.Mode(), content(t, d+"/n"), err)
				}
			}
		})
	}
}

// TestReplaceFull checks that on a full file system the old content stays.
func TestReplaceFull(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=8k")
	testenv.Must(t, Replace(dir, "status", []byte("old"), 0o600))
	testenv.Must(t, os.WriteFile(testenv.Path(dir, "filler"), make([]byte, 4096), 0o600))
	if err := Replace(dir, "status", []byte("new"), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want %v", err, unix.ENOSPC)
	}
	if got := content(t, testenv.Path(dir, "status")); got != "old" {
		t.Errorf("old content became %q", got)
	}
	if left := names(t, testenv.Path(dir, "")); !slices.Equal(left, []string{"filler", "status"}) {
		t.Errorf("left %v", left)
	}
}

// TestFailedWriteLeavesNoDescriptor checks that a write without space closes its file at
// once, and not when the next collection finds it.
func TestFailedWriteLeavesNoDescriptor(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=4k")
	testenv.Must(t, os.WriteFile(testenv.Path(dir, "filler"), make([]byte, 4096), 0o600))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	open := func() int { return len(names(t, "/proc/self/fd")) }
	before := open()
	for range 20 {
		if _, err := WriteNew(dir, "status", []byte("new"), 0o600, nil); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("got %v", err)
		}
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestReplaceInodes checks the same where not even an empty file can be made.
func TestReplaceInodes(t *testing.T) {
	dir := testenv.Tmpfs(t, "nr_inodes=2") // the root and one file
	testenv.Must(t, os.WriteFile(testenv.Path(dir, "status"), []byte("old"), 0o600))
	if err := Replace(dir, "status", []byte("new"), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want %v", err, unix.ENOSPC)
	}
	if got := content(t, testenv.Path(dir, "status")); got != "old" {
		t.Errorf("old content became %q", got)
	}
}

// TestReplaceReaders checks that a reader always sees a whole file.
func TestReplaceReaders(t *testing.T) {
	testenv.Root(t)
	d := t.TempDir()
	dir := testenv.Dir(t, d)
	a, b := strings.Repeat("a", 5000), strings.Repeat("b", 7000)
	testenv.Must(t, Replace(dir, "n", []byte(a), 0o600))
	done := make(chan error)
	go func() {
		var err error
		for range 300 {
			err = errors.Join(err, Replace(dir, "n", []byte(b), 0o600), Replace(dir, "n", []byte(a), 0o600))
		}
		done <- err
	}()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		select {
		case err := <-done:
			testenv.Must(t, err)
			return
		default:
			if got := content(t, d+"/n"); got != a && got != b {
				t.Fatalf("saw %d bytes", len(got))
			}
		}
	}
	t.Error("the writer did not end")
}

func TestWriteNew(t *testing.T) {
	testenv.Root(t)
	d := t.TempDir()
	dir := testenv.Dir(t, d)
	f, err := WriteNew(dir, "n", []byte("x"), 0o400, &Owner{testenv.Gateway, testenv.Stranger})
	testenv.Must(t, err)
	defer f.Close()
	if _, err := Verify(f, Want{Type: Regular, UID: ID(testenv.Gateway), GID: ID(testenv.Stranger), Mode: Mode(0o400), Links: 1}); err != nil {
		t.Error(err)
	}
	_, err = WriteNew(dir, "../n", nil, 0o400, nil)
	refused(t, err, "../n")
}

// TestWriteNewFails checks that a write that fails leaves nothing.
func TestWriteNewFails(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	d := t.TempDir()
	dir := testenv.Dir(t, d)
	testenv.Refuse(t, unix.EPERM, unix.SYS_FCHOWN)
	if _, err := WriteNew(dir, "n", []byte("x"), 0o400, &Owner{1, 1}); !errors.Is(err, unix.EPERM) || len(names(t, d)) != 0 {
		t.Errorf("no fchown: %v, left %v", err, names(t, d))
	}
	testenv.Refuse(t, unix.EACCES, unix.SYS_FCHMOD)
	if _, err := WriteNew(dir, "n", []byte("x"), 0o400, nil); !errors.Is(err, unix.EACCES) || len(names(t, d)) != 0 {
		t.Errorf("no fchmod: %v, left %v", err, names(t, d))
	}
	if f, err := MakeDir(dir, "d", 0o755); !errors.Is(err, unix.EACCES) || len(names(t, d)) != 0 {
		t.Errorf("MakeDir without fchmod: %v %v, left %v", f, err, names(t, d))
	}
	if _, _, err := MakeFIFO(dir, "f", 0o600); !errors.Is(err, unix.EACCES) {
		t.Errorf("MakeFIFO without fchmod: %v", err)
	}
}

func TestInstall(t *testing.T) {
	testenv.Root(t)
	testInstall(t)
}

// TestInstallSlow checks the same without RENAME_NOREPLACE, as with an old seccomp
// profile or an old kernel.
func TestInstallSlow(t *testing.T) {
	for name, errno := range map[string]unix.Errno{"enosys": unix.ENOSYS, "eperm": unix.EPERM, "einval": unix.EINVAL} {
		t.Run(name, func(t *testing.T) {
			if testenv.Inside(t, 0) {
				testenv.Refuse(t, errno, unix.SYS_RENAMEAT2)
				testInstall(t)
			}
		})
	}
}

func testInstall(t *testing.T) {
	for _, occupied := range []string{"file", "link", "dangling", "dir", "fifo", "socket"} {
		t.Run("over-"+occupied, func(t *testing.T) {
			d := plant(t)
			testenv.Must(t, os.WriteFile(d+"/from", []byte("new"), 0o600))
			if err := Install(testenv.Dir(t, d), "from", occupied); !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v, want %v", err, fs.ErrExist)
			}
			if content(t, d+"/from") != "new" {
				t.Error("the source is gone")
			}
		})
	}
	d := plant(t)
	dir := testenv.Dir(t, d)
	if err := Install(dir, "absent", "n"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent source: %v", err)
	}
	testenv.Must(t, Install(dir, "file", "n"))
	if content(t, d+"/n") != "content" {
		t.Error("not installed")
	}
	refused(t, Install(dir, "a/b", "n2"), "a/b")
	refused(t, Install(dir, "n", "../n2"), "../n2")
	if err := Install(dir, "n", strings.Repeat("n", 256)); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a name too long: %v", err)
	}
}

func TestRenameRemove(t *testing.T) {
	testenv.Root(t)
	d := plant(t)
	dir := testenv.Dir(t, d)
	testenv.Must(t, Rename(dir, "file", "linked"))
	if content(t, d+"/linked") != "content" {
		t.Error("not renamed")
	}
	refused(t, Rename(dir, "..", "x"), "..")
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"directory":       {Remove(dir, "dir"), unix.EISDIR},
		"full-directory":  {RemoveDir(dir, "dir"), unix.ENOTEMPTY},
		"file-as-dir":     {RemoveDir(dir, "linked"), unix.ENOTDIR},
		"link-as-dir":     {RemoveDir(dir, "dirlink"), unix.ENOTDIR},
		"missing":         {Remove(dir, "missing"), fs.ErrNotExist},
		"not-a-name":      {Remove(dir, "dir/inner"), ErrUnsafe},
		"the-link-itself": {Remove(dir, "dirlink"), nil},
		"a-fifo":          {Remove(dir, "fifo"), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", name, c.err, c.want)
		}
	}
	if content(t, d+"/dir/inner") != "" {
		t.Error("removed through a link")
	}
}
