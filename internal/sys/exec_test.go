// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// leaky returns n descriptors that a child would inherit.
func leaky(t *testing.T, n int) (fds []int) {
	t.Helper()
	for range n {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
		testenv.Must(t, err)
		fds = append(fds, fd)
		t.Cleanup(func() { unix.Close(fd) })
	}
	return fds
}

func inherited(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	testenv.Must(t, err)
	return flags&unix.FD_CLOEXEC == 0
}

// TestCloseOnExecFrom checks that no descriptor that the engine left open reaches the
// gateway, on an old kernel either.
func TestCloseOnExecFrom(t *testing.T) {
	for name, refuse := range map[string][]uint32{"close-range": nil, "proc-self-fd": {unix.SYS_CLOSE_RANGE}} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			if refuse != nil {
				testenv.Refuse(t, unix.ENOSYS, refuse...)
			}
			fds := leaky(t, 40)
			keep := fds[9]
			CloseOnExecFrom(keep + 1)
			for _, fd := range fds {
				if inherited(t, fd) != (fd <= keep) {
					t.Errorf("descriptor %d of %d to %d: inherited %v", fd, fds[0], fds[39], inherited(t, fd))
				}
			}
			for fd := range 3 {
				if !inherited(t, fd) {
					t.Errorf("descriptor %d would be closed", fd)
				}
			}
		})
	}
	t.Run("neither", func(t *testing.T) {
		if !testenv.Inside(t, unix.CLONE_NEWNS) {
			return
		}
		testenv.Refuse(t, unix.EPERM, unix.SYS_CLOSE_RANGE)
		testenv.Must(t, unix.Mount("none", "/proc", "tmpfs", 0, ""))
		fds := leaky(t, 1)
		CloseOnExecFrom(3) // there is nothing to do
		CloseOnExec(fds[0])
		if inherited(t, fds[0]) {
			t.Error("still inherited")
		}
	})
}

func TestDuplicate(t *testing.T) {
	testenv.Root(t)
	in, out, err := os.Pipe()
	testenv.Must(t, err)
	defer in.Close()
	defer out.Close()
	f, err := Duplicate(int(out.Fd()), "copy")
	testenv.Must(t, err)
	if f.Fd() <= 2 || f.Name() != "copy" || inherited(t, int(f.Fd())) {
		t.Errorf("descriptor %d %s", f.Fd(), f.Name())
	}
	f.Close()
	if _, err := out.WriteString("x"); err != nil {
		t.Errorf("the original went with it: %v", err)
	}
	if _, err := Duplicate(-1, "none"); !errors.Is(err, unix.EBADF) {
		t.Errorf("got %v", err)
	}
	fd, err := unix.Dup(int(in.Fd()))
	testenv.Must(t, err)
	Close(fd)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("still open: %v", err)
	}
}

// TestLookPath compares with execvp(3), but without the current directory.
func TestLookPath(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	d := t.TempDir()
	testenv.Must(t, errors.Join(
		os.Mkdir(d+"/a", 0o755), os.Mkdir(d+"/b", 0o755), os.Mkdir(d+"/b/dir", 0o755), os.Mkdir(d+"/closed", 0o000),
		os.WriteFile(d+"/a/plain", nil, 0o644), os.WriteFile(d+"/a/both", nil, 0o644),
		os.WriteFile(d+"/b/both", nil, 0o755), os.WriteFile(d+"/b/tool", nil, 0o755),
		os.WriteFile(d+"/here", nil, 0o755), os.Symlink("b/tool", d+"/link"), os.Symlink("loop", d+"/loop"),
		os.Chmod(d, 0o755), os.Chdir(d),
	))
	path := func(dirs ...string) []string { return []string{"A=b", "PATH=" + strings.Join(dirs, ":"), "Z="} }
	both := path(d+"/a", d+"/b")
	unprivileged := 0
	for name, c := range map[string]struct {
		program string
		env     []string
		want    string
		err     error
	}{
		"found":             {"tool", both, d + "/b/tool", nil},
		"not-executable":    {"plain", both, "", unix.EACCES},
		"later-executable":  {"both", both, d + "/b/both", nil},
		"nowhere":           {"nothing", both, "", unix.ENOENT},
		"empty-name":        {"", both, "", unix.ENOENT},
		"absolute":          {"/no/such", both, "/no/such", nil}, // execve(2) will report it
		"with-a-slash":      {"./here", both, "./here", nil},
		"no-path":           {"tool", []string{"PATHS=" + d + "/b"}, "", unix.ENOENT},
		"empty-path":        {"here", path(""), "", unix.ENOENT},
		"current-by-empty":  {"here", path(d+"/a", "", d+"/b"), "", unix.ENOENT},
		"current-by-dot":    {"here", path("."), "", unix.ENOENT},
		"relative-entry":    {"tool", path("b"), "", unix.ENOENT},
		"directory":         {"dir", both, "", unix.EACCES},
		"entry-is-a-file":   {"x", path(d + "/here"), "", unix.ENOENT},
		"link":              {"link", path(d), d + "/link", nil},
		"loop":              {"loop", path(d), "", unix.ENOENT},
		"denied-then-found": {"tool", path(d+"/closed", d+"/b"), d + "/b/tool", nil},
		"denied":            {"tool", path(d+"/closed", d+"/a"), "", unix.EACCES},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := LookPath(c.program, c.env)
			if strings.HasPrefix(name, "denied") && unprivileged == 0 { // root may search any directory
				testenv.Must(t, SetCaps(0))
				unprivileged++
				got, err = LookPath(c.program, c.env)
			}
			if got != c.want || err != c.err {
				t.Errorf("got %q %v, want %q %v", got, err, c.want, c.err)
			}
		})
	}
}
