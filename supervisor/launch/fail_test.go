// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// TestFailures checks that each step of the re-exec child that fails is reported with
// its errno. 126 is not 127, and neither is a reason to try again.
func TestFailures(t *testing.T) {
	testenv.Root(t)
	d, err := os.MkdirTemp("", "launch") // t.TempDir's parent is closed to the child
	testenv.Must(t, err)
	defer os.RemoveAll(d)
	testenv.Must(t, errors.Join(
		os.Chmod(d, 0o755),
		os.WriteFile(d+"/plain", []byte("#!/bin/sh\n"), 0o644), os.WriteFile(d+"/garbage", []byte("\x7fELFgarbage"), 0o755),
		os.WriteFile(d+"/nointerpreter", []byte("#!/no/such/interpreter\n"), 0o755),
		os.WriteFile(d+"/secret", []byte("#!/bin/sh\n"), 0o700), os.Mkdir(d+"/closed", 0o700), os.Symlink("loop", d+"/loop"),
	))
	token := func(change func(*child)) func(*child) {
		return func(c *child) {
			withToken(t, c, "T")
			change(c)
		}
	}
	file := func(text string) func(*child) {
		return func(c *child) {
			testenv.Must(t, os.WriteFile(d+"/text", []byte(text), 0o600))
			f, err := os.Open(d + "/text")
			testenv.Must(t, err)
			c.Token = f
		}
	}
	run := func(name string) func(*child) { return func(c *child) { c.Spec.Argv = []string{name} } }
	for name, c := range map[string]struct {
		change func(*child)
		step   launch.Step
		errno  syscall.Errno
	}{
		"missing":           {run("/no/such/program"), launch.StepExec, syscall.ENOENT},
		"not-in-path":       {run("nosuchprogram"), launch.StepExec, syscall.ENOENT},
		"empty-name":        {run(""), launch.StepExec, syscall.ENOENT},
		"not-executable":    {run(d + "/plain"), launch.StepExec, syscall.EACCES},
		"not-for-us":        {run(d + "/secret"), launch.StepExec, syscall.EACCES},
		"directory":         {run(d), launch.StepExec, syscall.EACCES},
		"garbage":           {run(d + "/garbage"), launch.StepExec, syscall.ENOEXEC},
		"no-interpreter":    {run(d + "/nointerpreter"), launch.StepExec, syscall.ENOENT},
		"loop":              {run(d + "/loop"), launch.StepExec, syscall.ELOOP},
		"argument-too-long": {func(c *child) { c.Spec.Argv = []string{"true", strings.Repeat("x", 1<<18)} }, launch.StepExec, syscall.E2BIG},
		"no-program":        {func(c *child) { c.Spec.Argv = nil }, launch.StepSpec, syscall.EINVAL},
		"no-directory":      {func(c *child) { c.Spec.Dir = "/no/such/directory" }, launch.StepDir, syscall.ENOENT},
		"closed-directory":  {func(c *child) { c.Spec.Dir = d + "/closed" }, launch.StepDir, syscall.EACCES},
		"directory-is-file": {func(c *child) { c.Spec.Dir = d + "/plain" }, launch.StepDir, syscall.ENOTDIR},
		"too-many-files":    {func(c *child) { c.Spec.Nofile = 1 << 40 }, launch.StepLimits, syscall.EPERM},
		"token-empty":       {token(file("")), launch.StepTokenFailed, 0},
		"token-malformed":   {token(file("x")), launch.StepTokenFailed, 0},
		"token-directory":   {token(func(c *child) { c.Token = testenv.Dir(t, d) }), launch.StepTokenFailed, syscall.EISDIR},
		"token-changed":     {token(func(c *child) { c.Spec.Token.Sum[31]++ }), launch.StepTokenChanged, 0},
		"token-of-another":  {token(file(strings.Repeat("0", tokenfile.Len))), launch.StepTokenChanged, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ch := program(t, "true")
			c.change(ch)
			p, err := start(t, ch)
			var failure *launch.Failure
			if !errors.As(err, &failure) || *failure != (launch.Failure{Step: c.step, Errno: c.errno}) {
				t.Fatalf("got %v, want %s %v", err, c.step, c.errno)
			}
			pid, err := waitFor(p.PID)
			if err != nil || pid.ExitStatus() != 126 {
				t.Errorf("ended with %v, %v", pid, err)
			}
		})
	}
}

func waitFor(pid int) (status syscall.WaitStatus, err error) {
	for {
		_, err = syscall.Wait4(pid, &status, 0, nil)
		if err != syscall.EINTR {
			return status, err
		}
	}
}

// TestTooLargeIsNamed checks that the answer of a kernel that takes no more says how much
// there was, and how much it takes.
func TestTooLargeIsNamed(t *testing.T) {
	testenv.Root(t)
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"one":  {[]string{"A=" + strings.Repeat("x", 1<<18)}, "the longest has 262147 (131072)"},
		"many": {slices.Repeat([]string{"A=" + strings.Repeat("x", 1<<10)}, 6<<10-30), "bytes with their pointers (the kernel takes "},
	} {
		ch := program(t, "true")
		ch.Spec.Env = append(ch.Spec.Env, c.env...)
		_, err := start(t, ch)
		if !errors.Is(err, syscall.E2BIG) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

// TestDirectoryIsNamed checks that the line about a directory that the user cannot enter
// has both.
func TestDirectoryIsNamed(t *testing.T) {
	testenv.Root(t)
	c := program(t, "true")
	c.Spec.Dir = t.TempDir()
	testenv.Must(t, os.Chmod(c.Spec.Dir, 0o700))
	want := fmt.Sprintf("chdir: permission denied: uid %d cannot have the working directory %q", gateway, c.Spec.Dir)
	if _, err := start(t, c); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestStay checks that a target can have a directory that its user cannot enter, as after
// gosu.
func TestStay(t *testing.T) {
	testenv.Root(t)
	closed := t.TempDir()
	testenv.Must(t, os.Chmod(closed, 0o700))
	t.Chdir(closed)
	c := program(t, "readlink", "/proc/self/cwd")
	c.Spec.Dir, c.Spec.Stay = closed, true
	if got := output(t, c); got != closed+"\n" {
		t.Errorf("its directory is %q", got)
	}
}

// TestLargeEnvironmentArrives checks an environment near the limit of execve(2).
func TestLargeEnvironmentArrives(t *testing.T) {
	testenv.Root(t)
	c := program(t, "sh", "-c", "wc -c </proc/self/environ")
	size := 0
	for i := range 30000 {
		kv := fmt.Sprintf("SVC_%05d_PORT=tcp://10.0.0.1:%d<&>", i, i)
		size += len(kv) + 1
		c.Spec.Env = append(c.Spec.Env, kv)
	}
	for _, kv := range []string{"PATH=/usr/bin:/bin", "A=b"} {
		size += len(kv) + 1
	}
	if got := strings.TrimSpace(output(t, c)); got != itoa(size) {
		t.Errorf("the target has %s bytes, want %d", got, size)
	}
}

// TestForkFails checks that a fork that fails gives an error, and leaves no child and
// no descriptor.
func TestForkFails(t *testing.T) {
	for name, c := range map[string]struct {
		limit func(*testing.T)
		want  error
	}{
		// The kernel lets the fork and the change of user pass, and refuses execve(2).
		// It counts the user's other processes, not this one (set_user, kernel/sys.c).
		"rlimit-nproc": {func(t *testing.T) {
			_, err := start(t, program(t, "sleep", "1000"))
			testenv.Must(t, err)
			testenv.Must(t, unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 0, Max: 0}))
		}, unix.EAGAIN},
		"no-clone":     {func(t *testing.T) { testenv.Refuse(t, unix.EAGAIN, unix.SYS_CLONE, unix.SYS_CLONE3) }, unix.EAGAIN},
		"no-right":     {func(t *testing.T) { testenv.Must(t, sys.SetCaps(0)) }, unix.EPERM},
		"no-memfd":     {func(t *testing.T) { testenv.Refuse(t, unix.EMFILE, unix.SYS_MEMFD_CREATE) }, unix.EMFILE},
		"no-pipe":      {func(t *testing.T) { testenv.Refuse(t, unix.EMFILE, unix.SYS_PIPE2) }, unix.EMFILE},
		"no-exec":      {func(t *testing.T) { testenv.Refuse(t, unix.EACCES, unix.SYS_EXECVE) }, unix.EACCES},
		"no-setgroups": {func(t *testing.T) { testenv.Refuse(t, unix.EPERM, unix.SYS_SETGROUPS) }, unix.EPERM},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			asPID1(t)
			ch := program(t, "true")
			// The runtime opens its two descriptors for polling with the first pipe that
			// is waited for. That may be the one of a child that c.limit has started.
			r, w, err := os.Pipe()
			testenv.Must(t, errors.Join(err, r.SetReadDeadline(time.Now()), r.Close(), w.Close()))
			c.limit(t)
			before, err := os.ReadDir("/proc/self/fd")
			testenv.Must(t, err)
			late := false // Start does not wait for a child without end, and leaves it to the reaper
			for failed := 0; failed < 3; {
				reports, begun := make(chan error, 1), time.Now()
				p, err := launch.Start(ch.Child, func(_ int, _ string, err error) { reports <- err })
				if p != nil { // it got no processor for so long that Start no longer waits for it
					if testenv.Must(t, err); <-reports == nil {
						t.Fatalf("%d runs, want %v", p.PID, c.want)
					}
					_, err := unix.Wait4(p.PID, nil, 0, nil)
					testenv.Must(t, err)
					p.Close()
					continue
				}
				late = late || time.Since(begun) > 40*time.Millisecond
				if failed++; !errors.Is(err, c.want) || len(reports) > 0 {
					t.Fatalf("got %v, want %v", err, c.want)
				}
			}
			after, err := os.ReadDir("/proc/self/fd")
			if err != nil || len(after) > len(before) {
				t.Errorf("%d descriptors became %d, %v", len(before), len(after), err)
			}
			if pid, err := sys.Peek(); pid != 0 && !late || err != nil {
				t.Errorf("child %d is left, %v", pid, err)
			}
		})
	}
}

// TestRefusedLimitKeepsNoChildFromStarting checks that a kernel that refuses prlimit(2), as
// an old seccomp profile does, costs a child only the limit that PID 1 was started with.
func TestRefusedLimitKeepsNoChildFromStarting(t *testing.T) {
	testenv.Root(t)
	if !testenv.Inside(t, 0) {
		return
	}
	c := program(t, "echo", "started")
	c.Started = &launch.Started{Nofile: syscall.Rlimit{Cur: 64, Max: 64}}
	testenv.Refuse(t, unix.EPERM, unix.SYS_PRLIMIT64)
	if got := output(t, c); got != "started\n" {
		t.Errorf("it printed %q", got)
	}
}

// TestDeathBetweenForkAndExec checks that a re-exec child that is killed before it
// becomes the gateway is not taken for a running gateway.
func TestDeathBetweenForkAndExec(t *testing.T) {
	testenv.Root(t)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		c := program(t, "sleep", "1000")
		reports := make(chan error, 1)
		p, err := launch.Start(c.Child, func(_ int, _ string, err error) { reports <- err })
		testenv.Must(t, err)
		testenv.Must(t, p.Signal(unix.SIGSTOP))
		testenv.Eventually(t, "stopped", func() bool { return state(t, p.PID) == "T" })
		name := testenv.Status(t, "/proc/"+itoa(p.PID)+"/status")["Name"]
		testenv.Must(t, p.Signal(unix.SIGKILL))
		err = <-reports
		status, errWait := waitFor(p.PID)
		p.Close()
		if errWait != nil || status.Signal() != unix.SIGKILL {
			t.Fatalf("ended with %v, %v", status, errWait)
		}
		if name == "sleep" { // too late, because it was the target already
			testenv.Must(t, err)
			continue
		}
		var failure *launch.Failure
		if errors.As(err, &failure) && *failure == (launch.Failure{Step: launch.StepDied}) {
			return
		}
		if err != nil {
			t.Fatalf("got %v, want %s", err, launch.StepDied)
		}
		// It was stopped between Ready and execve(2). Only there the report cannot
		// tell, and the exit that follows counts.
	}
	t.Error("never met a re-exec child")
}

// TestSignal checks signals by pidfd, and by pid if an old profile refuses that: to a
// process, to one that has ended, and to a group.
func TestSignal(t *testing.T) {
	for name, refuse := range map[string]unix.Errno{"pidfd": 0, "enosys": unix.ENOSYS, "eperm": unix.EPERM} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			asPID1(t)
			if refuse != 0 {
				testenv.Refuse(t, refuse, unix.SYS_PIDFD_SEND_SIGNAL)
			}
			privs.Drop(privs.Needed)
			testenv.Must(t, sys.SetSubreaper())
			p, err := start(t, program(t, "sh", "-c", "trap 'exit 7' USR1; sleep 1000 & echo on; wait"))
			testenv.Must(t, err)
			testenv.Eventually(t, "its trap", func() bool {
				caught, err := strconv.ParseUint(testenv.Status(t, "/proc/"+itoa(p.PID)+"/status")["SigCgt"], 16, 64)
				return err == nil && caught&(1<<(syscall.SIGUSR1-1)) != 0
			})
			testenv.Must(t, p.Signal(0))
			if err := p.Signal(99); !errors.Is(err, unix.EINVAL) {
				t.Errorf("signal 99: %v", err)
			}
			testenv.Must(t, p.Signal(syscall.SIGUSR1))
			testenv.Eventually(t, "its end", func() bool { return state(t, p.PID) == "Z" })
			testenv.Must(t, p.Signal(syscall.SIGKILL)) // it has ended, which is no error
			testenv.Must(t, p.SignalGroup(syscall.SIGKILL))
			status, err := waitFor(p.PID)
			if err != nil || status.ExitStatus() != 7 {
				t.Errorf("ended with %v, %v", status, err)
			}
			testenv.Eventually(t, "its group's end", func() bool {
				if pid, err := sys.Peek(); err == nil && pid != 0 {
					sys.Reap(pid)
				}
				return sys.Kill(-p.PID, 0) != nil
			})
			if refuse == 0 {
				testenv.Must(t, p.Signal(syscall.SIGKILL)) // after the reaping the pidfd means no other process
			}
			testenv.Must(t, p.SignalGroup(syscall.SIGKILL))
			p.Close()
			p.Close()
		})
	}
}
