// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// TestMain plays a part if a test has started this binary for it.
func TestMain(m *testing.M) {
	if list := os.Getenv(parentEnv); list != "" {
		fmt.Println(startChildren(list))
		os.Exit(1)
	}
	if addr := os.Getenv(serveEnv); addr != "" {
		fmt.Println(serve(addr))
		os.Exit(1)
	}
	if role := os.Getenv(roleEnv); role != "" {
		fmt.Println(findAsPID1(role))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// roleEnv makes this program a PID 1 that looks for a supervisor, as root or as
// another user.
const roleEnv = "CONTROLLER_PID1"

func findAsPID1(role string) string {
	err := unix.Mount("proc", "/proc", "proc", 0, "")
	if err == nil && role != "root" {
		err = syscall.Setresuid(testenv.Stranger, testenv.Stranger, testenv.Stranger)
	}
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := Find(ctx)
	switch {
	case errors.Is(err, ErrUnproven):
		return "refused"
	case err != nil:
		return err.Error()
	}
	defer s.Close()
	return fmt.Sprint(s.Topology(), " ", s.PID, " ", s.UIDs[0])
}

// TestPID1 checks that PID 1 with the installed program is a supervisor if it is
// not root. A root PID 1 that has published nothing is always refused.
func TestPID1(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	for role, want := range map[string]string{"root": "refused", "user": fmt.Sprint(NonRoot, " 1 ", testenv.Stranger)} {
		cmd := exec.Command(installAs(t, "/proc/self/exe"))
		cmd.Env = []string{roleEnv + "=" + role}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %q, %v; want %q", role, out, err, want)
		}
	}
}

func quiet(string) {}

// installAs puts a program where the installed one is, in our own mount namespace.
// Find takes that file for the supervisor's program.
func installAs(t *testing.T, other string) string {
	t.Helper()
	const dir = "/usr/local/sbin"
	testenv.Must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	data, err := os.ReadFile(other)
	testenv.Must(t, err)
	testenv.Must(t, os.WriteFile(dir+"/"+program, data, 0o755))
	return dir + "/" + program
}

// startChild starts a child of this process.
func startChild(t *testing.T, program string, uid uint32, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := &exec.Cmd{Path: program, Args: argv, SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func endProcess(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// TestFind is the foreign PID 1 of its own PID namespace.
func TestFind(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	ctx := testenv.Within(t, 20*time.Second)
	find := func(want error) {
		t.Helper()
		s, err := Find(ctx)
		if !errors.Is(err, want) {
			t.Errorf("got %+v, %v; want %v", s, err, want)
		}
		if err == nil {
			s.Close()
		}
	}
	name := installAs(t, "/bin/sleep")
	startChild(t, "/bin/sleep", testenv.Stranger, program, "1000") // the name alone does not count, because root sees another file
	find(ErrNone)
	one := startChild(t, name, testenv.Stranger, "anything", "1000")
	s, err := Find(ctx)
	testenv.Must(t, err)
	defer s.Close()
	if s.Topology() != Managed || s.PID != one.Process.Pid || s.UIDs[0] != testenv.Stranger {
		t.Errorf("%+v", s)
	}
	testenv.Must(t, s.prove())
	two := startChild(t, name, testenv.Gateway, program, "1000")
	find(ErrAmbiguous)
	// The list of children has a gap and holds only one of the two.
	gap := t.TempDir()
	testenv.Must(t, errors.Join(os.MkdirAll(gap+"/1", 0o755), os.Mkdir(gap+"/2", 0o755),
		os.WriteFile(gap+"/1/children", []byte(fmt.Sprint(two.Process.Pid)), 0o644), unix.Mount(gap, "/proc/1/task", "", unix.MS_BIND, "")))
	find(ErrAmbiguous)
	testenv.Must(t, unix.Unmount("/proc/1/task", 0))
	endProcess(two)
	find(nil)
	roots := startChild(t, name, 0, program, "1000")
	find(ErrUnproven)
	endProcess(roots)
	find(nil)
	endProcess(one)
	if err := s.prove(); !errors.Is(err, errChanged) || !errors.Is(err, procfs.ErrGone) {
		t.Errorf("gone: %v", err)
	}
	find(ErrNone)
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Find(short); !errors.Is(err, context.Canceled) {
		t.Errorf("no time: %v", err)
	}
}

// TestShaped checks that the name in argv and comm counts if the file is hidden, and that
// all uids must be one that is not root's.
func TestShaped(t *testing.T) {
	named := procfs.Snapshot{Argv: []string{"/usr/local/sbin/" + program, "--", "x"}, Comm: program, Status: procfs.Status{UIDs: [4]uint32{1, 1, 1, 1}}}
	other, noArgv, noComm, seen, mixed, root := named, named, named, named, named, named
	other.Argv, noArgv.Argv, noComm.Comm = []string{"sh"}, nil, "sh"
	seen.ExeDev, seen.ExeIno = 1, 1
	mixed.UIDs, root.UIDs = [4]uint32{1, 1, 0, 1}, [4]uint32{}
	for name, c := range map[string]struct {
		key  procfs.Snapshot
		want bool
		err  error
	}{"named": {named, true, nil}, "another name": {other, false, nil}, "headless": {noArgv, false, nil}, "another comm": {noComm, false, nil},
		"another file": {seen, false, nil}, "several uids": {mixed, false, ErrUnproven}, "root": {root, false, ErrUnproven}} {
		if got, err := isSupervisor(c.key); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestPlaceAndQueue checks that root owns the directory, or the queue works without.
func TestPlaceAndQueue(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "mode=0755"))
	open := func(dirs ...string) *os.File {
		t.Helper()
		dir, err := openPlace(dirs)
		if (dir == nil) == (err == nil) {
			t.Errorf("%v: %v, %v", dirs, dir, err)
		}
		return dir
	}
	testenv.Must(t, errors.Join(os.Mkdir("/mnt/theirs", 0o755), os.Chown("/mnt/theirs", testenv.Stranger, 0),
		os.Mkdir("/mnt/open", 0o777), os.Chmod("/mnt/open", 0o777), os.Mkdir("/mnt/closed", 0o700), os.WriteFile("/mnt/file", nil, 0o644)))
	for _, bad := range []string{"/mnt/theirs", "/mnt/theirs/x", "/mnt/open", "/mnt/open/x", "/mnt/closed", "/mnt/file", "/mnt/no/x"} {
		if dir := open(bad); dir != nil {
			t.Errorf("%s was taken", bad)
		}
	}
	dir := open("/mnt/theirs/x", "/mnt/ours")
	again := open("/mnt/ours")
	defer again.Close()
	for name, dir := range map[string]*os.File{"root's": dir, "nobody's": nil} {
		lock, err := newQueue(testenv.Within(t, time.Second), dir)
		testenv.Must(t, err)
		if _, err := newQueue(testenv.Within(t, 30*time.Millisecond), dir); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: taken twice: %v", name, err)
		}
		next := make(chan error)
		go func() {
			f, err := newQueue(testenv.Within(t, 10*time.Second), dir)
			if err == nil {
				f.Close()
			}
			next <- err
		}()
		lock.Close() // as the kernel does when its holder ends
		testenv.Must(t, <-next)
	}
	testenv.Must(t, errors.Join(os.Remove("/mnt/ours/"+lockName), os.WriteFile("/mnt/ours/"+lockName, nil, 0o666), os.Chmod("/mnt/ours/"+lockName, 0o666)))
	if _, err := newQueue(testenv.Within(t, time.Second), dir); err == nil {
		t.Error("a lock that others can write was taken")
	}
	// Root owns no directory, so an exit cannot be authorized, and a note says so.
	c := &Controller{stages: stages{say: quiet}}
	testenv.Must(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755,uid=4242"))
	testenv.Must(t, unix.Mount("tmpfs", "/dev", "tmpfs", 0, "mode=0755,uid=4242"))
	done, err := c.Begin(testenv.Within(t, time.Second))
	testenv.Must(t, err)
	done()
	if c.place != nil || c.why == nil {
		t.Errorf("%v, %v", c.place, c.why)
	}
}

// errAsked says that the supervisor was asked.
var errAsked = errors.New("the supervisor was asked")

// pair returns a controller whose supervisor is this process, and starts a gateway
// below it that runs script.
func pair(t *testing.T, script string) (*Controller, *exec.Cmd) {
	t.Helper()
	testenv.Must(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")) // no test may write to the machine's own /run
	self, err := procfs.Hold(os.Getpid())
	testenv.Must(t, err)
	c := &Controller{Gateway: config.Gateway{TokenEnv: "TOKEN", Command: []string{"/bin/sleep"}, Port: 1, StopSignal: syscall.SIGTERM, WorkingDir: "/", StopGrace: 100 * time.Millisecond,
		Ready:  config.Probe{Path: "/", Status: []int{200}, Timeout: time.Second},
		Health: config.Probe{Path: "/", Status: []int{200}, Timeout: 100 * time.Millisecond}},
		Supervisor: &Supervisor{self}, stages: stages{say: quiet}}
	c.Request = func(context.Context, control.Request) error { return errAsked }
	t.Cleanup(c.Supervisor.Close)
	return c, gateway(t, script)
}

func gateway(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env, cmd.SysProcAttr = []string{"TOKEN=x"}, &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	testenv.Must(t, err)
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { endProcess(cmd) })
	_, err = io.ReadFull(out, make([]byte, 1))
	testenv.Must(t, err)
	testenv.Eventually(t, "its last program", func() bool { // until then its snapshot changes
		argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
		return err == nil && string(argv) == "sleep\x001000\x00"
	})
	return cmd
}

var probe = control.Request{Action: control.Probe}

const sleeps = "echo; exec sleep 1000"

// TestGateway checks that each fault of a gateway has its word, and that none is a
// success.
func TestGateway(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	ctx := testenv.Within(t, 30*time.Second)
	c, cmd := pair(t, sleeps)
	g, err := c.FindGateway(ctx)
	testenv.Must(t, err)
	if g.PID != cmd.Process.Pid {
		t.Errorf("%+v", g)
	}
	g.Close()
	fails := func(want reason.Reason, err error) {
		t.Helper()
		if f := (*Failure)(nil); !errors.As(err, &f) || f.Reason != want || f.Stage == "" || !strings.Contains(err.Error(), "while ") {
			t.Errorf("%v; want %s", err, want)
		}
	}
	_, err = c.Do(ctx, probe)
	fails(reason.ListenerMissing, err)
	_, err = c.Do(ctx, control.Request{Action: control.Stop})
	fails(reason.Unproven, err)
	_, err = c.Do(ctx, control.Request{Action: control.Reload})
	fails(reason.NoReload, err)
	c.Reload = syscall.SIGHUP // it does not serve, so it gets none
	_, err = c.Do(ctx, control.Request{Action: control.Reload})
	fails(reason.ListenerMissing, err)
	second := gateway(t, sleeps)
	_, err = c.Do(ctx, probe)
	fails(reason.Unproven, err)
	if !errors.Is(err, ErrAmbiguous) {
		t.Errorf("two gateways: %v", err)
	}
	c.TokenEnv = "ANOTHER"
	_, err = c.Do(ctx, probe)
	fails(reason.NotRunning, err)
	for _, action := range []control.Action{control.Restart, control.Recover} { // there is no process to signal
		if _, err := c.Do(ctx, control.Request{Action: action}); !errors.Is(err, errAsked) {
			t.Errorf("%s without a gateway: %v", action, err)
		}
	}
	c.TokenEnv = "TOKEN"
	c.since = sys.BootTicks() + 1 // both started before that
	_, err = c.FindGateway(ctx)
	fails(reason.NotRunning, c.fail(err))
	c.since = 0
	endProcess(second)
}

// TestReplace checks the stop by the configured signal, then by SIGKILL, and the wait
// for the new gateway until the deadline. The error has the last failure and stage.
func TestReplace(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	for name, c := range map[string]struct {
		script string
		by     syscall.Signal
	}{
		"stops":    {sleeps, syscall.SIGTERM},
		"stubborn": {"trap '' TERM; " + sleeps, syscall.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testenv.Within(t, 20*time.Second)
			ctl, cmd := pair(t, c.script)
			reaped := make(chan syscall.WaitStatus, 1)
			go func() { // as the supervisor would
				cmd.Wait()
				reaped <- cmd.ProcessState.Sys().(syscall.WaitStatus)
			}()
			short, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
			defer cancel()
			r, err := ctl.Do(short, control.Request{Action: control.Restart})
			if r.OldPID != cmd.Process.Pid || r.NewPID != 0 || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting for the new gateway") {
				t.Errorf("%+v, %v", r, err)
			}
			if s := <-reaped; s.Signal() != c.by {
				t.Errorf("ended by %v", s.Signal())
			}
		})
	}
}

// TestReasonOf checks that reasons are words of the closed set.
func TestReasonOf(t *testing.T) {
	for want, err := range map[reason.Reason]error{
		reason.NotRunning: ErrIdle, reason.IdentityChanged: procfs.ErrChanged,
		reason.NotPermitted: procfs.ErrNoPidfd, reason.Unproven: errors.New("anything"),
	} {
		if got := reasonOf(fmt.Errorf("x: %w", err)); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
	c := &Controller{Gateway: config.Gateway{Port: 9}, stages: stages{stage: "x"}}
	for want, a := range map[reason.Reason]Judgment{
		reason.ListenerMissing: {Ownership: proof.Missing},
		reason.ListenerForeign: {Ownership: proof.Foreign, Foreign: make([]sockets.Listener, 1)},
		reason.HealthTimeout:   {Verdict: proof.Timeout},
	} {
		if f := (*Failure)(nil); !errors.As(c.Verdict(a), &f) || f.Reason != want {
			t.Errorf("%+v: %v", a, c.Verdict(a))
		}
	}
	if err := c.Verdict(Judgment{}); err != nil {
		t.Errorf("a gateway that serves: %v", err)
	}
}
