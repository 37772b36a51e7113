// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// forkBound is far beyond what a fork takes.
const forkBound = 20 * time.Second

// forkOutput runs f with its stdout in a pipe and returns what it prints.
func forkOutput(t *testing.T, f Fork) string {
	t.Helper()
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	defer r.Close()
	null, err := os.Open("/dev/null")
	testenv.Must(t, err)
	defer null.Close()
	if f.Files == nil {
		f.Files = []uintptr{null.Fd(), 0, w.Fd()}
	}
	f.Files[1] = w.Fd()
	f.Env = append(f.Env, "PATH=/usr/bin:/bin")
	c, err := f.Start()
	testenv.Must(t, errors.Join(err, w.Close()))
	testenv.Must(t, c.Await(forkBound))
	data, err := io.ReadAll(r)
	testenv.Must(t, err)
	var status unix.WaitStatus
	for {
		if _, err = unix.Wait4(c.PID, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if c.Pidfd >= 0 {
		unix.Close(c.Pidfd)
	}
	if err != nil || status != 0 {
		t.Fatalf("it ended with %v, %v: %s", status, err, data)
	}
	return string(data)
}

// shell returns a Fork that runs a script.
func shell(script string) Fork {
	return Fork{Path: "/bin/sh", Argv: []string{"sh", "-c", script}}
}

// TestFork checks that the child has what was asked for, and nothing of our signals.
func TestFork(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	signal.Notify(make(chan os.Signal, 1))
	IgnoreSignals(unix.SIGTTOU, 32, 34)
	status := Fork{Path: "/bin/cat", Argv: []string{"cat", "/proc/self/status"}} // some shells change the mask
	status.Mask = 1<<9 | 1<<5                                                    // USR1 and ABRT
	status.User = &syscall.Credential{Uid: gateway, Gid: gateway + 1, Groups: []uint32{gateway + 2, gateway + 3}}
	fields := testenv.ParseStatus([]byte(forkOutput(t, status)))
	for key, want := range map[string]string{
		"SigBlk": "0000000000000220", "SigIgn": "0000000000000000", "SigCgt": "0000000000000000",
		"Uid": "54321 54321 54321 54321", "Gid": "54322 54322 54322 54322", "Groups": "54323 54324",
	} {
		if fields[key] != want {
			t.Errorf("%s is %q, want %q", key, fields[key], want)
		}
	}
	if mask := SignalMask(); mask != 0 {
		t.Errorf("the fork leaves us the mask %x", mask)
	}
	for _, session := range []bool{true, false} {
		f := shell("cat /proc/$$/stat")
		f.Session = session
		text := forkOutput(t, f)
		stat := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // state, parent, group, session
		pid, _, _ := strings.Cut(text, " ")
		if stat[2] != pid || (stat[3] == pid) != session {
			t.Errorf("session %v: %q", session, text)
		}
	}
	there := shell("pwd -P; ulimit -Sn; ulimit -Hn; echo $A")
	there.Dir, there.Env, there.Nofile = "/usr", []string{"A=b"}, &syscall.Rlimit{Cur: 99, Max: 999}
	if got := forkOutput(t, there); got != "/usr\n99\n999\nb\n" {
		t.Errorf("got %q", got)
	}
	t.Chdir("/bin")
	if got := forkOutput(t, shell("pwd -P")); !strings.HasSuffix(got, "bin\n") {
		t.Errorf("our directory is %q for it", got)
	}
}

// TestForkFiles checks descriptors that are in each other's way.
func TestForkFiles(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	const first, names = 20, "abcde"
	dir := t.TempDir()
	for i, name := range names {
		n, err := unix.Open(dir+"/"+string(name), unix.O_RDONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		testenv.Must(t, errors.Join(err, unix.Dup3(n, first+i, unix.O_CLOEXEC), unix.Close(n)))
	}
	for _, want := range []string{"abcde", "edcba", "bcdea", "eabcd", "aaaaa", "eeeee", "ccbbe", "bacde"} {
		f := shell(`cd /proc/self/fd; for i in 20 21 22 23 24; do printf %s "$(basename "$(readlink $i)")"; done; [ -e 25 ] || echo .`)
		f.Files = slices.Repeat([]uintptr{0}, first)
		for _, name := range want {
			f.Files = append(f.Files, first+uintptr(strings.IndexRune(names, name)))
		}
		if got := forkOutput(t, f); got != want+".\n" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// openDescriptors lists our descriptors below 64, without opening one.
func openDescriptors() (open []int) {
	var st unix.Stat_t
	for fd := range 64 {
		if unix.Fstat(fd, &st) == nil {
			open = append(open, fd)
		}
	}
	return open
}

// TestForkFailures checks that the errno of each step arrives, and that no child and no
// descriptor is left.
func TestForkFailures(t *testing.T) {
	user := &syscall.Credential{Uid: gateway, Gid: gateway, Groups: []uint32{gateway}}
	for name, c := range map[string]struct {
		refuse uint32
		f      Fork
		errno  syscall.Errno
	}{
		"fork":       {unix.SYS_CLONE, shell("true"), unix.EPERM},
		"pipe":       {unix.SYS_PIPE2, shell("true"), unix.EPERM},
		"setsid":     {unix.SYS_SETSID, Fork{Path: "/bin/true", Argv: []string{"true"}, Session: true}, unix.EPERM},
		"setpgid":    {unix.SYS_SETPGID, shell("true"), unix.EPERM},
		"setgroups":  {unix.SYS_SETGROUPS, Fork{Path: "/bin/true", Argv: []string{"true"}, User: user}, unix.EPERM},
		"setgid":     {unix.SYS_SETRESGID, Fork{Path: "/bin/true", Argv: []string{"true"}, User: user}, unix.EPERM},
		"setuid":     {unix.SYS_SETRESUID, Fork{Path: "/bin/true", Argv: []string{"true"}, User: user}, unix.EPERM},
		"undumpable": {unix.SYS_PRCTL, Fork{Path: "/bin/true", Argv: []string{"true"}, User: user}, unix.EPERM},
		"chdir":      {unix.SYS_CHDIR, Fork{Path: "/bin/true", Argv: []string{"true"}, Dir: "/"}, unix.EPERM},
		"dup":        {unix.SYS_DUP3, Fork{Path: "/bin/true", Argv: []string{"true"}, Files: []uintptr{1, 1}}, unix.EPERM},
		"fcntl":      {unix.SYS_FCNTL, Fork{Path: "/bin/true", Argv: []string{"true"}, Files: []uintptr{0}}, unix.EPERM},
		"exec":       {unix.SYS_EXECVE, shell("true"), unix.EPERM},
		"not-found":  {0, Fork{Path: "/no/such", Argv: []string{"x"}}, unix.ENOENT},
		"nul":        {0, Fork{Path: "/bin/true", Argv: []string{"a\x00b"}}, unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			WarmThreads(16) // the runtime dies if it is refused one
			testenv.ThreadsIdle(t)
			before := openDescriptors()
			if c.refuse != 0 {
				testenv.Refuse(t, unix.EPERM, c.refuse)
			}
			c.f.Pidfd = true
			child, err := c.f.Start()
			if err == nil {
				err = child.Await(forkBound)
			}
			if !errors.Is(err, c.errno) {
				t.Errorf("got %v, want %v", err, c.errno)
			}
			if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
				t.Errorf("a child is left: %v", err)
			}
			if after := openDescriptors(); !slices.Equal(after, before) {
				t.Errorf("the descriptors %v became %v", before, after)
			}
		})
	}
}

// TestForkWithoutDescriptors checks that a child that has no descriptor to spare ends, and
// that this is no success of its program.
func TestForkWithoutDescriptors(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	testenv.Must(t, err)
	f := shell("exit 0")
	f.Files = slices.Repeat([]uintptr{null.Fd()}, 40)
	testenv.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 30, Max: 30}))
	c, err := f.Start()
	testenv.Must(t, err)
	err = c.Await(forkBound)
	var status unix.WaitStatus
	if err == nil { // it could not say why
		_, err = unix.Wait4(c.PID, &status, 0, nil)
		testenv.Must(t, err)
	}
	if err == nil && status.ExitStatus() != 127 {
		t.Errorf("it ended with %v", status)
	}
}
