// SPDX-License-Identifier: Apache-2.0

package vfork

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// start starts c with its stdout in a pipe, and reaps it.
func start(t *testing.T, c Child) (output string, status unix.WaitStatus, err error) {
	t.Helper()
	return startBy(t, func() (int, error) { return Start(c) })
}

// startWith does the same with flags of clone(2). Without any it is the fork that an
// emulator makes of a vfork: parent and child share no memory and do not wait.
func startWith(t *testing.T, c Child, flags uintptr) (output string, status unix.WaitStatus, err error) {
	t.Helper()
	return startBy(t, func() (int, error) { return c.start(flags) })
}

func startBy(t *testing.T, start func() (int, error)) (output string, status unix.WaitStatus, err error) {
	t.Helper()
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	defer r.Close()
	saved, err := unix.Dup(1)
	testenv.Must(t, err)
	testenv.Must(t, unix.Dup2(int(w.Fd()), 1))
	pid, err := start()
	testenv.Must(t, errors.Join(unix.Dup2(saved, 1), unix.Close(saved), w.Close()))
	if err != nil {
		return "", 0, err
	}
	data, readErr := io.ReadAll(r)
	testenv.Must(t, readErr)
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			return string(data), status, err
		}
	}
}

var path = []string{"PATH=/usr/bin:/bin"}

// TestStart: what is asked for is what the child has, and nothing of ours.
func TestStart(t *testing.T) {
	c := Child{Argv: []string{"cat", "/proc/self/status"}, Env: path, Mask: 1 << 9, Ignored: 1 << 11, Terminal: -1}
	out, status, err := start(t, c)
	if err != nil || status != 0 {
		t.Fatal(status, err)
	}
	for _, want := range []string{"SigBlk:\t0000000000000200\n", "SigIgn:\t0000000000000800\n", "SigCgt:\t0000000000000000\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in it", want)
		}
	}
	out, status, err = start(t, Child{Argv: []string{"sh", "-c", "echo $A $#; ulimit -Sn; exit 5", "x", "1", "2"}, Env: append(path, "A=b"), Terminal: -1, Nofile: &unix.Rlimit{Cur: 99, Max: 999}})
	if err != nil || status.ExitStatus() != 5 || out != "b 2\n99\n" {
		t.Errorf("%q, %v, %v", out, status, err)
	}
}

// TestMany: no start disturbs the next.
func TestMany(t *testing.T) {
	for i := range 200 {
		if _, status, err := start(t, Child{Argv: []string{"true"}, Env: path, Terminal: -1}); err != nil || status != 0 {
			t.Fatal(i, status, err)
		}
		if _, _, err := start(t, Child{Argv: []string{"no-such-program"}, Env: path, Terminal: -1}); !errors.Is(err, unix.ENOENT) {
			t.Fatal(i, err)
		}
	}
}

// TestLookup: execvp(3)'s rules.
func TestLookup(t *testing.T) {
	d := t.TempDir()
	testenv.Must(t, errors.Join(os.Mkdir(d+"/a", 0o755), os.Mkdir(d+"/b", 0o755), os.Mkdir(d+"/a/dir", 0o755), os.Symlink("loop", d+"/loop"),
		os.WriteFile(d+"/a/closed", []byte("x"), 0o644), os.WriteFile(d+"/b/closed", []byte("#!/bin/sh\necho b"), 0o755),
		os.WriteFile(d+"/a/only", []byte("x"), 0o644), os.WriteFile(d+"/b/text", []byte("echo text $0 $1"), 0o755),
		os.WriteFile(d+"/b/empty", nil, 0o755), os.WriteFile(d+"/b/garbage", []byte("\x7fELFgarbage"), 0o755)))
	run := func(dirs, name string, args ...string) (string, error) {
		out, _, err := start(t, Child{Argv: append([]string{name}, args...), Env: []string{"A=b", "PATH=" + strings.ReplaceAll(dirs, "@", d), "PATH=/none"}, Terminal: -1})
		return out, err
	}
	for name, want := range map[string]string{"closed": "b\n", "text": "text " + d + "/b/text c\n", "empty": ""} {
		if out, err := run("/none:@/a:@/b", name, "c"); err != nil || out != want {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	for name, want := range map[string]error{"only": unix.EACCES, "dir": unix.EACCES, "absent": unix.ENOENT, "garbage": unix.ENOEXEC, "": unix.ENOENT, d + "/a/only/x": unix.ENOTDIR,
		d + "/loop": unix.ELOOP, d + "/b": unix.EACCES} {
		_, err := run("@/a:@/b:/none", name)
		var failed *Error
		if !errors.As(err, &failed) || failed.Step != "exec" || failed.Errno != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	if _, status, err := start(t, Child{Argv: []string{"true"}, Terminal: -1}); err != nil || status != 0 {
		t.Errorf("no PATH at all: %v, %v", status, err)
	}
	t.Chdir(d + "/b")
	if out, err := run(":/none", "closed"); err != nil || out != "b\n" { // an empty entry is the current directory
		t.Errorf("the current directory: %q, %v", out, err)
	}
}

// fails starts c, which must fail at step and leave no child behind.
func fails(t *testing.T, name string, c Child, step string, errno error) {
	t.Helper()
	c.Env = path
	if c.Argv == nil {
		c.Argv = []string{"true"}
	}
	_, _, err := start(t, c)
	var failed *Error
	if !errors.As(err, &failed) || failed.Step != step || failed.Errno != errno || !strings.Contains(err.Error(), step) {
		t.Errorf("%s: %v, want %s: %v", name, err, step, errno)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("%s: a child is left: %v", name, err)
	}
}

// TestForkInPlaceOfVfork: a failure is reported where the child shares no memory with us.
func TestForkInPlaceOfVfork(t *testing.T) {
	for name, c := range map[string]struct {
		child Child
		step  string
		errno error
	}{
		"not-found":      {Child{Argv: []string{"/no/such/program"}, Terminal: -1}, "exec", unix.ENOENT},
		"not-executable": {Child{Argv: []string{"/etc/passwd"}, Terminal: -1}, "exec", unix.EACCES},
		"limit":          {Child{Argv: []string{"true"}, Terminal: -1, Nofile: &unix.Rlimit{Cur: 9, Max: 8}}, "setrlimit", unix.EINVAL},
	} {
		c.child.Env = path
		_, _, err := startWith(t, c.child, 0)
		var failed *Error
		if !errors.As(err, &failed) || failed.Step != c.step || failed.Errno != c.errno {
			t.Errorf("%s: got %v, want %s: %v", name, err, c.step, c.errno)
		}
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
			t.Errorf("%s: a child is left: %v", name, err)
		}
	}
	out, status, err := startWith(t, Child{Argv: []string{"sh", "-c", "echo ran; exit 5"}, Env: path, Terminal: -1}, 0)
	if err != nil || status.ExitStatus() != 5 || out != "ran\n" {
		t.Errorf("%q, %v, %v", out, status, err)
	}
}

// TestFailures: each step that can fail says which one it was.
func TestFailures(t *testing.T) {
	fails(t, "nothing", Child{Argv: []string{}, Terminal: -1}, "exec", unix.EINVAL)
	fails(t, "nul", Child{Argv: []string{"true", "a\x00b"}, Terminal: -1}, "exec", unix.EINVAL)
	fails(t, "terminal", Child{Terminal: int(testenv.Dir(t, "/").Fd())}, "take the terminal", unix.ENOTTY)
	fails(t, "limit", Child{Terminal: -1, Nofile: &unix.Rlimit{Cur: 9, Max: 8}}, "setrlimit", unix.EINVAL)
}

// TestRefusals does the same for steps that only a kernel or an engine refuses.
func TestRefusals(t *testing.T) {
	user := &Identity{UID: testenv.Gateway, GID: testenv.Gateway, Groups: []uint32{testenv.Gateway}}
	for step, c := range map[string]struct {
		call  uint32
		child Child
	}{
		"exec":                  {unix.SYS_EXECVE, Child{Terminal: -1}},
		"clear the ambient set": {unix.SYS_PRCTL, Child{Terminal: -1, DropCaps: true}},
		"capset":                {unix.SYS_CAPSET, Child{Terminal: -1, DropCaps: true}},
		"setuid":                {unix.SYS_SETRESUID, Child{Terminal: -1, User: user}},
		"close its memory":      {unix.SYS_PRCTL, Child{Terminal: -1, User: user}},
		"setgid":                {unix.SYS_SETRESGID, Child{Terminal: -1, User: user}},
		"setgroups":             {unix.SYS_SETGROUPS, Child{Terminal: -1, User: user}},
		"setpgid":               {unix.SYS_SETPGID, Child{Terminal: -1}},
	} {
		t.Run(strings.ReplaceAll(step, " ", "-"), func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			testenv.Refuse(t, unix.EPERM, c.call)
			fails(t, step, c.child, step, unix.EPERM)
		})
	}
}

// TestForkFails: a PID namespace without its PID 1 takes nobody any more
// (pid_namespaces(7)).
func TestForkFails(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	runtime.LockOSThread()
	testenv.Must(t, unix.Unshare(unix.CLONE_NEWPID))
	if _, status, err := start(t, Child{Argv: []string{"true"}, Env: path, Terminal: -1}); err != nil || status != 0 {
		t.Fatal(status, err)
	}
	fails(t, "no PID 1", Child{Terminal: -1}, "fork", unix.ENOMEM)
}

// forkProbe is a word of memory that a child has or shares.
var forkProbe atomic.Uint32

// TestAnotherUserHasItsOwnMemory: a child with another user's ids does not share our
// memory, so what a process of that user does to it before its exec does not reach us.
func TestAnotherUserHasItsOwnMemory(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	forkProbe.Store(1)
	held, release := testenv.Hold(t, unix.SYS_EXECVE)
	started := make(chan error, 1)
	user := &Identity{UID: testenv.Gateway, GID: testenv.Gateway}
	go func() {
		_, err := Start(Child{Argv: []string{"true"}, Env: path, Terminal: -1, User: user})
		started <- err
	}()
	pid := <-held
	if uid := testenv.Status(t, fmt.Sprintf("/proc/%d/status", pid))["Uid"]; !strings.HasPrefix(uid, fmt.Sprint(testenv.Gateway)) {
		t.Errorf("the child has the uids %s", uid)
	}
	forkProbe.Store(2)
	var theirs [4]byte
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &theirs[0], Len: 4}}, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&forkProbe)), Len: 4}}, 0)
	testenv.Must(t, err)
	if n := binary.NativeEndian.Uint32(theirs[:]); n != 1 {
		t.Errorf("the child sees what we write after the fork: %d", n)
	}
	release()
	testenv.Must(t, <-started)
}
