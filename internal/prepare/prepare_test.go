// SPDX-License-Identifier: Apache-2.0

package prepare

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

const gateway, stranger = testenv.Gateway, testenv.Stranger

// parent mounts a root-owned tmpfs at /mnt. A mode of 1777 makes it like /tmp.
func parent(t *testing.T, mode string) {
	t.Helper()
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode="+mode))
}

// entry returns the directory under test.
func entry() Directory { return Directory{Path: "/mnt/state", UID: gateway, GID: gateway, Mode: 0o700} }

// is demands a directory with mode that belongs to the gateway.
func is(t *testing.T, path string, mode uint32) {
	t.Helper()
	var st unix.Stat_t
	testenv.Must(t, unix.Lstat(path, &st))
	if st.Mode != unix.S_IFDIR|mode || st.Uid != gateway || st.Gid != gateway {
		t.Errorf("%s has mode %#o and is %d:%d's", path, st.Mode, st.Uid, st.Gid)
	}
}

// own makes a directory with owner and mode.
func own(path string, uid int, mode fs.FileMode) error {
	return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode), os.Chown(path, uid, uid))
}

// TestMake checks directories that an agent may have put under the name first. Each
// case runs with the rights and the umask that PID 1 has by then.
func TestMake(t *testing.T) {
	refused := fsafe.ErrUnsafe
	for name, c := range map[string]struct {
		parent string
		plant  func() error
		want   error
		mode   uint32 // of the directory afterwards, on success
	}{
		"missing":            {"1777", func() error { return nil }, nil, 0o700},
		"there":              {"1777", func() error { return own("/mnt/state", gateway, 0o700) }, nil, 0o700},
		"stricter":           {"1777", func() error { return own("/mnt/state", gateway, 0o500) }, nil, 0o500},
		"readable":           {"1777", func() error { return own("/mnt/state", gateway, 0o755) }, nil, 0o755},
		"squatted-empty":     {"1777", func() error { return own("/mnt/state", stranger, 0o777) }, nil, 0o700},
		"own-but-writable":   {"1777", func() error { return own("/mnt/state", gateway, 0o770) }, nil, 0o700},
		"half-made":          {"1777", func() error { return own("/mnt/state", 0, 0o700) }, nil, 0o700},
		"half-made-not-/tmp": {"0755", func() error { return own("/mnt/state", 0, 0o700) }, nil, 0o700},
		"squatted-full": {"1777", func() error {
			return errors.Join(own("/mnt/state", stranger, 0o777), os.WriteFile("/mnt/state/x", nil, 0o600))
		}, refused, 0},
		"own-writable-full": {"1777", func() error {
			return errors.Join(own("/mnt/state", gateway, 0o777), os.WriteFile("/mnt/state/x", nil, 0o600))
		}, refused, 0},
		"squatted-not-sticky": {"0755", func() error { return own("/mnt/state", stranger, 0o777) }, refused, 0},
		"link": {"1777", func() error {
			return errors.Join(own("/mnt/elsewhere", gateway, 0o755), os.Symlink("elsewhere", "/mnt/state"))
		}, refused, 0},
		"dangling-link": {"1777", func() error { return os.Symlink("/mnt/nowhere", "/mnt/state") }, refused, 0},
		"link-of-its": {"1777", func() error {
			return errors.Join(os.Symlink("/etc", "/mnt/state"), os.Lchown("/mnt/state", gateway, gateway))
		}, refused, 0},
		"file":         {"1777", func() error { return os.WriteFile("/mnt/state", nil, 0o600) }, refused, 0},
		"fifo-no-hang": {"1777", func() error { return unix.Mkfifo("/mnt/state", 0o666) }, refused, 0},
		"socket":       {"1777", func() error { return unix.Mknod("/mnt/state", unix.S_IFSOCK|0o666, 0) }, refused, 0},
		"device":       {"1777", func() error { return unix.Mknod("/mnt/state", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) }, refused, 0},
		"mounted-over": {"1777", func() error {
			return errors.Join(own("/mnt/state", stranger, 0o777), unix.Mount("none", "/mnt/state", "tmpfs", 0, ""))
		}, refused, 0},
		"stranger's-dir": {"0755", func() error { return os.Chown("/mnt", stranger, stranger) }, fs.ErrPermission, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			parent(t, c.parent)
			testenv.Must(t, c.plant())
			var before, after unix.Stat_t
			unix.Lstat("/mnt/state", &before)
			syscall.Umask(0o077)
			privs.Drop(privs.Needed)
			err := Make([]Directory{entry()})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil {
				is(t, "/mnt/state", c.mode)
				testenv.Must(t, Make([]Directory{entry()})) // before every start
				is(t, "/mnt/state", c.mode)
				return
			}
			if !strings.Contains(err.Error(), "cannot prepare /mnt/state: ") {
				t.Errorf("does not say what: %v", err)
			}
			if unix.Lstat("/mnt/state", &after); before.Ino != after.Ino {
				t.Error("what was in the way is gone")
			}
			for _, name := range []string{"/mnt/nowhere", "/mnt/elsewhere/state"} {
				if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s was made through a link", name)
				}
			}
		})
	}
}

// TestMakeParents checks that nothing is looked up through a link.
func TestMakeParents(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	parent(t, "1777")
	testenv.Must(t, errors.Join(os.Mkdir("/mnt/real", 0o755), os.Symlink("real", "/mnt/link"), os.WriteFile("/mnt/file", nil, 0o600)))
	for path, want := range map[string]error{
		"/mnt/link/state":     fsafe.ErrUnsafe,
		"/mnt/file/state":     fsafe.ErrUnsafe,
		"/mnt/missing/state":  fs.ErrNotExist,
		"/mnt/real/sub/state": fs.ErrNotExist,
		"state":               fsafe.ErrUnsafe,
		"/":                   fsafe.ErrUnsafe,
	} {
		d := entry()
		d.Path = path
		if err := Make([]Directory{d}); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
	first, second := entry(), entry()
	first.Path, second.Path = "/mnt/link/state", "/mnt/after"
	if err := Make([]Directory{first, second}); err == nil {
		t.Error("went on after a refusal")
	}
	if _, err := os.Lstat("/mnt/after"); err == nil {
		t.Error("made what comes after a refusal")
	}
	// A nested directory comes after its parent, each with its own mode.
	outer, inner := entry(), entry()
	outer.UID, outer.GID, outer.Mode = 0, 0, 0o1777
	inner.Path, inner.Mode = "/mnt/state/inner", 0o2770
	testenv.Must(t, Make([]Directory{outer, inner}))
	is(t, "/mnt/state/inner", 0o2770)
}

// TestMakeFails checks that a run that ends half way, or a call that is refused,
// leaves nothing that stops the next start.
func TestMakeFails(t *testing.T) {
	for name, call := range map[string]uint32{"no-chown": unix.SYS_FCHOWN, "no-chmod": unix.SYS_FCHMOD, "no-mkdir": unix.SYS_MKDIRAT} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			parent(t, "0755")
			testenv.Refuse(t, unix.EROFS, call)
			if err := Make([]Directory{entry()}); !errors.Is(err, unix.EROFS) {
				t.Errorf("got %v, want %v", err, unix.EROFS)
			} else if name == "no-mkdir" && !strings.Contains(err.Error(), "run with --tmpfs /mnt:mode=0755") {
				t.Errorf("no advice in %v", err)
			}
			if left, err := os.ReadDir("/mnt"); err != nil || len(left) != 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
	t.Run("no-stat", func(t *testing.T) {
		if !testenv.Inside(t, unix.CLONE_NEWNS) {
			return
		}
		parent(t, "1777")
		testenv.Must(t, own("/mnt/state", stranger, 0o700))
		testenv.Refuse(t, unix.EIO, unix.SYS_FSTAT)
		if err := Make([]Directory{entry()}); !errors.Is(err, unix.EIO) {
			t.Errorf("got %v, want %v", err, unix.EIO)
		}
	})
}

// TestSquatRace checks an agent that puts its own directory, or a link to one, back
// as fast as it can. Make refuses or makes ours. It never gives the gateway the
// directory of another user.
func TestSquatRace(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	parent(t, "1777")
	testenv.Must(t, own("/mnt/bait", stranger, 0o777))
	stop, done := make(chan struct{}), make(chan struct{})
	ready := make(chan error)
	go func() {
		defer close(done)
		asStranger(ready, func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				unix.Mkdir("/mnt/state", 0o777)
				unix.Rmdir("/mnt/state")
				unix.Symlink("bait", "/mnt/state")
				unix.Unlink("/mnt/state")
			}
		})
	}()
	testenv.Must(t, <-ready)
	made, refused := 0, 0
	for range 3000 {
		switch err := Make([]Directory{entry()}); {
		case err == nil:
			is(t, "/mnt/state", 0o700)
			testenv.Must(t, os.Remove("/mnt/state"))
			made++
		case errors.Is(err, fsafe.ErrUnsafe), errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist):
			refused++
		default:
			t.Fatalf("an error of another kind: %v", err)
		}
	}
	close(stop)
	<-done
	var bait unix.Stat_t
	testenv.Must(t, unix.Lstat("/mnt/bait", &bait))
	if bait.Uid != stranger || made == 0 {
		t.Errorf("bait is %d's; %d made, %d refused", bait.Uid, made, refused)
	}
	t.Logf("%d made, %d refused", made, refused)
}
