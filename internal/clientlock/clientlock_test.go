// SPDX-License-Identifier: Apache-2.0

package clientlock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// holderDir makes this test binary a process that holds the lock of that
// directory until its standard input ends.
const holderDir = "CLIENTLOCK_TEST_DIR"

func TestMain(m *testing.M) {
	if name := os.Getenv(holderDir); name != "" {
		os.Exit(hold(name))
	}
	os.Exit(m.Run())
}

func hold(name string) int {
	dir, err := fsafe.OpenDir(name)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	f, err := Hold(dir, uint32(os.Geteuid()))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
	f.Close()
	return 0
}

// holder is a process that holds the lock.
type holder struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func startHolder(t *testing.T, dir *os.File) *holder {
	t.Helper()
	h := &holder{cmd: exec.Command("/proc/self/exe")}
	h.cmd.Env = append(os.Environ(), holderDir+"="+dir.Name())
	var err error
	h.stdin, err = h.cmd.StdinPipe()
	testenv.Must(t, err)
	out, err := h.cmd.StdoutPipe()
	testenv.Must(t, err)
	testenv.Must(t, h.cmd.Start())
	t.Cleanup(func() { h.cmd.Process.Kill(); h.cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	return h
}

func held(t *testing.T, f *os.File, want bool) {
	t.Helper()
	got, err := IsHeld(f)
	testenv.Must(t, err)
	if got != want {
		t.Errorf("held is %v, want %v", got, want)
	}
}

func newLock(t *testing.T) (dir, f *os.File) {
	t.Helper()
	dir = testenv.Dir(t, t.TempDir())
	f, err := Make(dir)
	testenv.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return dir, f
}

// TestMake checks that Make sets exactly its mode, and replaces only a file of an
// earlier run.
func TestMake(t *testing.T) {
	testenv.Root(t)
	defer unix.Umask(unix.Umask(0o277))
	for name, c := range map[string]struct {
		plant func(path string) error
		want  string // "": it is made
	}{
		"nothing":   {func(string) error { return nil }, ""},
		"leftover":  {func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) }, ""},
		"open-mode": {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0), os.Chmod(p, 0o666)) }, ""},
		"link":      {func(p string) error { return os.Symlink("/etc/passwd", p) }, "is a symbolic link, not a regular file"},
		"directory": {func(p string) error { return os.Mkdir(p, 0o700) }, "is a directory, not a regular file"},
		"fifo":      {func(p string) error { return unix.Mkfifo(p, 0o600) }, "is a FIFO, not a regular file"},
		"two-names": {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Link(p, p+".2")) }, "has 2 links, not 1"},
		"foreign":   {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Chown(p, 54321, 0)) }, "is owned by uid 54321, not 0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Dir(t, t.TempDir())
			path := testenv.Path(dir, Name)
			testenv.Must(t, c.plant(path))
			before, _ := os.Lstat(path)
			f, err := Make(dir)
			if c.want != "" {
				after, statErr := os.Lstat(path)
				if f != nil || !errors.Is(err, fsafe.ErrUnsafe) || !strings.Contains(err.Error(), dir.Name()+"/"+Name+": "+c.want) || statErr != nil || !os.SameFile(before, after) {
					t.Errorf("got %v, %v; the file is %v, %v", f, err, after, statErr)
				}
				return
			}
			testenv.Must(t, err)
			defer f.Close()
			i, err := fsafe.StatAt(dir, Name)
			if mine, _ := fsafe.Stat(f); err != nil || !i.Same(mine) || i.Mode != 0o600 || i.UID != 0 || i.Links != 1 || i.Size != 0 {
				t.Errorf("%+v, %v; the descriptor is %+v", i, err, mine)
			}
			closesOnExec(t, f)
		})
	}
}

func closesOnExec(t *testing.T, f *os.File) {
	t.Helper()
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v", flags, err)
	}
}

// TestIsHeld checks that one lock is enough, and that the end of its last holder
// frees it, whether that process ended itself or was killed.
func TestIsHeld(t *testing.T) {
	dir, f := newLock(t)
	held(t, f, false)
	held(t, f, false) // the previous test has left no lock
	first, second := startHolder(t, dir), startHolder(t, dir)
	held(t, f, true)
	testenv.Must(t, first.stdin.Close())
	testenv.Must(t, first.cmd.Wait())
	held(t, f, true)
	testenv.Must(t, second.cmd.Process.Kill())
	if err := second.cmd.Wait(); err == nil {
		t.Error("the second one was not killed")
	}
	held(t, f, false)
	startHolder(t, dir)
	held(t, f, true)
}

// TestMarkOutlivesTheLock checks that a mark outlives the lock of its client, on a
// full file system too, until PID 1 clears it.
func TestMarkOutlivesTheLock(t *testing.T) {
	testenv.Root(t)
	dir := testenv.Tmpfs(t, "size=4k")
	own, err := Make(dir)
	testenv.Must(t, err)
	defer own.Close()
	testenv.Must(t, os.WriteFile(testenv.Path(dir, "filler"), make([]byte, 4096), 0o600))
	f, err := Hold(dir, uint32(os.Geteuid()))
	testenv.Must(t, err)
	testenv.Must(t, Mark(f))
	f.Close()
	if held, err := IsHeld(own); err != nil || !held {
		t.Errorf("got %v, %v", held, err)
	}
	testenv.Must(t, Clear(own))
	if held, err := IsHeld(own); err != nil || held {
		t.Errorf("after it was forgotten: %v, %v", held, err)
	}
}

// TestHoldBesideTests checks that each client gets its lock although PID 1 tests
// without a pause.
func TestHoldBesideTests(t *testing.T) {
	dir, f := newLock(t)
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if _, err := IsHeld(f); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 200 {
		own, err := Hold(dir, uint32(os.Geteuid()))
		testenv.Must(t, err)
		own.Close()
	}
	close(stop)
	testenv.Must(t, <-ended)
	held(t, f, false)
}

// TestHoldWaits checks that PID 1's test delays a client and does not refuse it. A
// lock that stays exclusive does.
func TestHoldWaits(t *testing.T) {
	dir, f := newLock(t)
	locked, err := sys.TryLock(f)
	testenv.Must(t, err)
	if !locked {
		t.Fatal("a new lock is held")
	}
	if own, err := Hold(dir, uint32(os.Geteuid())); own != nil || !errors.Is(err, errBusy) || !strings.Contains(err.Error(), Name) {
		t.Errorf("beside an exclusive lock: %v, %v", own, err)
	}
	time.AfterFunc(50*time.Millisecond, func() { sys.Unlock(f) })
	own, err := Hold(dir, uint32(os.Geteuid()))
	testenv.Must(t, err)
	closesOnExec(t, own)
	held(t, f, true)
	// A program that was started meanwhile has no part in the lock.
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	testenv.Must(t, err)
	testenv.Must(t, cmd.Start())
	own.Close()
	held(t, f, false)
	in.Close()
	testenv.Must(t, cmd.Wait())
}

// TestHoldRefuses checks that a file that PID 1 did not make is no lock.
func TestHoldRefuses(t *testing.T) {
	testenv.Root(t)
	for name, c := range map[string]struct {
		plant func(path string) error
		want  error
		text  string
	}{
		"missing":   {func(string) error { return nil }, fs.ErrNotExist, "cannot open the client lock"},
		"link":      {func(p string) error { return errors.Join(os.WriteFile(p+".2", nil, 0o600), os.Symlink(Name+".2", p)) }, fsafe.ErrUnsafe, "symbolic link"},
		"directory": {func(p string) error { return os.Mkdir(p, 0o600) }, unix.EISDIR, "is a directory"},
		"fifo":      {func(p string) error { return unix.Mkfifo(p, 0o600) }, fsafe.ErrUnsafe, "is a FIFO, not a regular file"},
		"two-names": {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Link(p, p+".2")) }, fsafe.ErrUnsafe, "has 2 links, not 1"},
		"foreign":   {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Chown(p, 54321, 0)) }, fsafe.ErrUnsafe, "is owned by uid 54321, not 0"},
		"open-mode": {func(p string) error { return os.WriteFile(p, nil, 0o644) }, fsafe.ErrUnsafe, "has mode 0644, not 0600"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Dir(t, t.TempDir())
			testenv.Must(t, c.plant(testenv.Path(dir, Name)))
			f, err := Hold(dir, 0)
			if f != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), dir.Name()+"/"+Name) {
				t.Errorf("got %v, %v; want %v with %q", f, err, c.want, c.text)
			}
		})
	}
}

// TestIsHeldFails checks that a test that fails is an error and no answer.
func TestIsHeldFails(t *testing.T) {
	_, f := newLock(t)
	f.Close()
	if got, err := IsHeld(f); got || !errors.Is(err, syscall.EBADF) {
		t.Errorf("of a closed descriptor: %v, %v", got, err)
	}
}
