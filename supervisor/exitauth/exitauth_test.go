// SPDX-License-Identifier: Apache-2.0

package exitauth

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

var gateway = procfs.ID{PID: 1234, Start: 567890}

// started starts a process called argv0, as uid, that runs until the test ends.
func started(t *testing.T, argv0 string, uid uint32) procfs.ID {
	t.Helper()
	cmd := &exec.Cmd{Path: "/bin/sleep", Args: []string{argv0, "1000"},
		SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	testenv.Executed(t, cmd.Process.Pid)
	p, err := procfs.Identify(cmd.Process.Pid)
	testenv.Must(t, err)
	return p
}

// place returns a root-owned directory in which no other user can put anything.
func place(t *testing.T) (name string, dir *os.File) {
	t.Helper()
	name, err := os.MkdirTemp("/run", "exitauth")
	testenv.Must(t, err)
	testenv.Must(t, os.Chmod(name, 0o755))
	t.Cleanup(func() { os.RemoveAll(name) })
	dir, err = os.Open(name)
	testenv.Must(t, err)
	t.Cleanup(func() { dir.Close() })
	return name, dir
}

// TestCheck checks that an authorization counts for its one exit while the controller
// lives, and no longer.
func TestCheck(t *testing.T) {
	testenv.Root(t)
	name, dir := place(t)
	dirs := []string{"/run/nobody-made-this", name}
	if _, err := checkPlace(dirs, gateway); !errors.Is(err, ErrNone) {
		t.Errorf("nothing was published: %v", err)
	}
	controller := started(t, "/usr/local/sbin/gatewayctl", 0)
	a := Authorization{gateway, controller}
	testenv.Must(t, Publish(dir, a))
	testenv.Must(t, Publish(dir, a)) // replaces the one before
	if pid, err := checkPlace(dirs, gateway); err != nil || pid != controller.PID {
		t.Errorf("got %d, %v", pid, err)
	}
	for what, other := range map[string]procfs.ID{
		"the same pid later": {PID: gateway.PID, Start: gateway.Start + 1},
		"another pid":        {PID: gateway.PID + 1, Start: gateway.Start},
	} {
		if _, err := checkPlace(dirs, other); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	testenv.Must(t, Withdraw(dir))
	testenv.Must(t, Withdraw(dir)) // a second call is no error
	if _, err := checkPlace(dirs, gateway); !errors.Is(err, ErrNone) {
		t.Errorf("after it was withdrawn: %v", err)
	}
}

// TestCheckController checks controllers that are not root's, or have ended.
func TestCheckController(t *testing.T) {
	testenv.Root(t)
	name, dir := place(t)
	gone := exec.Command("/bin/true")
	testenv.Must(t, gone.Start())
	p, err := procfs.Identify(gone.Process.Pid)
	testenv.Must(t, err)
	zombie := p
	testenv.Eventually(t, "it has ended", func() bool { return errors.Is(zombie.Verify(), procfs.ErrGone) })
	mine := started(t, programName, 0)
	for what, c := range map[string]procfs.ID{
		"zombie":          zombie,
		"recycled":        {PID: mine.PID, Start: mine.Start + 1},
		"another program": started(t, "sleep", 0),
		"the agent's":     started(t, programName, testenv.Stranger),
		"kernel thread":   {PID: 2, Start: 0},
	} {
		if c.PID == 2 {
			if c, err = procfs.Identify(2); err != nil {
				continue // no kernel threads in this PID namespace
			}
		}
		testenv.Must(t, Publish(dir, Authorization{gateway, c}))
		if _, err := checkPlace([]string{name}, gateway); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	gone.Wait()
	testenv.Must(t, Publish(dir, Authorization{gateway, p}))
	if _, err := checkPlace([]string{name}, gateway); !errors.Is(err, procfs.ErrGone) {
		t.Errorf("gone: %v", err)
	}
}

// TestCheckFile checks that a file that another user could have made is refused, and
// does not hide a valid one elsewhere.
func TestCheckFile(t *testing.T) {
	testenv.Root(t)
	a := Authorization{gateway, started(t, programName, 0)}
	good, dir := place(t)
	testenv.Must(t, Publish(dir, a))
	for what, spoil := range map[string]func(name string) error{
		"writable":       func(f string) error { return os.Chmod(f, 0o644) },
		"closed":         func(f string) error { return os.Chmod(f, 0o400) },
		"the agent's":    func(f string) error { return os.Chown(f, testenv.Stranger, 0) },
		"two names":      func(f string) error { return os.Link(f, f+"2") },
		"symbolic link":  func(f string) error { return errors.Join(os.Rename(f, f+"2"), os.Symlink(f+"2", f)) },
		"directory":      func(f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o444)) },
		"too long":       func(f string) error { return rewrite(f, a.String()+strings.Repeat("\n", maxFile)) },
		"not ours":       func(f string) error { return rewrite(f, "x\n") },
		"open directory": func(f string) error { return os.Chmod(filepath.Dir(f), 0o777) },
	} {
		name, dir := place(t)
		testenv.Must(t, Publish(dir, a))
		if _, err := checkPlace([]string{name}, gateway); err != nil {
			t.Fatalf("%s, before: %v", what, err)
		}
		testenv.Must(t, spoil(filepath.Join(name, fileName)))
		if _, err := checkPlace([]string{name}, gateway); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := checkPlace([]string{name, good}, gateway); err != nil {
			t.Errorf("%s, beside a good one: %v", what, err)
		}
	}
}

// TestCheckWay checks a directory on the way whose owner could replace the next.
func TestCheckWay(t *testing.T) {
	testenv.Root(t)
	name, _ := place(t)
	below := filepath.Join(name, "below")
	testenv.Must(t, errors.Join(os.Mkdir(below, 0o755), os.Chmod(below, 0o755)))
	testenv.Must(t, Publish(testenv.Dir(t, below), Authorization{gateway, started(t, programName, 0)}))
	if _, err := checkPlace([]string{below}, gateway); err != nil {
		t.Fatal(err)
	}
	testenv.Must(t, os.Chown(name, testenv.Stranger, 0))
	if _, err := checkPlace([]string{below}, gateway); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// TestCheckPlace checks that a directory that cannot hold root's file gives no
// authorization and no log line: the supervisor's own, one that it may not search,
// one without the file. A valid file elsewhere is still found.
func TestCheckPlace(t *testing.T) {
	for what, spoil := range map[string]func(dir string) error{
		"the supervisor's": func(dir string) error { return os.Chown(dir, testenv.Gateway, 0) },
		"a stranger's":     func(dir string) error { return os.Chown(dir, testenv.Stranger, 0) },
		"closed":           func(dir string) error { return os.Chmod(dir, 0o700) },
		"not to be found":  func(dir string) error { return os.Chmod(dir, 0o744) },
		"open and empty":   func(dir string) error { return errors.Join(os.Remove(dir+"/"+fileName), os.Chmod(dir, 0o777)) },
		"a file":           func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o644)) },
		"a link":           func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Symlink("/run", dir)) },
	} {
		t.Run(what, func(t *testing.T) {
			testenv.Root(t)
			a := Authorization{gateway, started(t, programName, 0)}
			good, dir := place(t)
			testenv.Must(t, Publish(dir, a))
			name, dir := place(t)
			testenv.Must(t, Publish(dir, a))
			testenv.Must(t, spoil(name))
			unprivileged(t)
			if _, err := checkPlace([]string{name}, gateway); !errors.Is(err, ErrNone) {
				t.Errorf("got %v", err)
			}
			if _, err := checkPlace([]string{name, good}, gateway); err != nil {
				t.Errorf("beside a good one: %v", err)
			}
		})
	}
}

// unprivileged gives the test the effective uid of a supervisor until it ends.
func unprivileged(t *testing.T) {
	t.Helper()
	testenv.Must(t, syscall.Setreuid(-1, testenv.Gateway))
	t.Cleanup(func() { testenv.Must(t, syscall.Setreuid(-1, 0)) })
}

// TestCheckSearched checks a root-owned tmpfs that others may search and not read.
func TestCheckSearched(t *testing.T) {
	testenv.Root(t)
	name, dir := place(t)
	controller := started(t, programName, 0)
	testenv.Must(t, Publish(dir, Authorization{gateway, controller}))
	testenv.Must(t, os.Chmod(name, 0o711))
	unprivileged(t)
	if pid, err := checkPlace([]string{name}, gateway); err != nil || pid != controller.PID {
		t.Errorf("got %d, %v", pid, err)
	}
}

func rewrite(name, text string) error {
	return errors.Join(os.Remove(name), os.WriteFile(name, []byte(text), 0o444), os.Chmod(name, 0o444))
}

// TestPublishFails checks that a failure to write or to remove names the file.
func TestPublishFails(t *testing.T) {
	testenv.Root(t)
	name, dir := place(t)
	testenv.Must(t, os.Mkdir(filepath.Join(name, fileName), 0o755))
	for what, err := range map[string]error{"publish": Publish(dir, Authorization{}), "withdraw": Withdraw(dir)} {
		if err == nil || !strings.Contains(err.Error(), fileName) {
			t.Errorf("%s over a directory: %v", what, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Authorization{gateway, procfs.ID{PID: 7, Start: 8}}.String()))
	for _, bad := range []string{"", "gateway-exit-1 1 2 3\n", "gateway-exit-1 1 2 3 4", "gateway-exit-1 01 2 3 4\n", "gateway-exit-1 -1 2 3 4\n",
		"gateway-exit-1 1 2 3 4\n\n", "gateway-exit-2 1 2 3 4\n", "gateway-exit-1 99999999999 2 3 4\n", "gateway-exit-1 1 2 3 x\n"} {
		f.Add([]byte(bad))
		if _, err := parse([]byte(bad)); !errors.Is(err, ErrRefused) {
			f.Errorf("%q: %v", bad, err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := parse(data); err == nil && a.String() != string(data) {
			t.Errorf("%q is %q", data, a)
		}
	})
}
