// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// family is a supervisor without separation in a PID namespace of its own.
type family struct {
	started map[int]bool
	gateway int
	last    procfs.ID // the gateway, with its start time
}

func (f *family) byAncestry() *ByAncestry {
	d := NewByAncestry("TOKEN", func(value []byte) bool { return string(value) == "secret" })
	d.Track(func(pid int) bool { return f.started[pid] }, func() procfs.ID { return f.last })
	return d
}

// start runs a shell with the environment in a session of its own.
func (f *family) start(t *testing.T, env []string, script string) int {
	t.Helper()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{
		Dir: "/", Env: append(env, "PATH="+os.Getenv("PATH")), Files: []*os.File{nil, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	testenv.Must(t, err)
	f.started[p.Pid] = true
	return p.Pid
}

// becomes starts the gateway.
func (f *family) becomes(t *testing.T, script string) {
	t.Helper()
	f.gateway = f.start(t, []string{"TOKEN=secret"}, script)
	var err error
	f.last, err = procfs.Identify(f.gateway)
	testenv.Must(t, err)
}

// sleepers lists the live processes that sleep for so many seconds.
func sleepers(t *testing.T, seconds string) (pids []int) {
	t.Helper()
	testenv.Must(t, procfs.EachStat(func(pid int, _ procfs.Stat, _ error) error {
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if string(data) == "sleep\x00"+seconds+"\x00" {
			pids = append(pids, pid)
		}
		return nil
	}))
	return pids
}

// await waits for n sleepers.
func await(t *testing.T, seconds string, n int) []int {
	t.Helper()
	testenv.Eventually(t, "sleepers", func() bool { return len(sleepers(t, seconds)) == n })
	return sleepers(t, seconds)
}

// TestByAncestrySweepsByEachMark checks that the gateway's processes are swept by
// each mark, and the agent's never. Gateway, agent and PID 1 have one uid.
func TestByAncestrySweepsByEachMark(t *testing.T) {
	for name, c := range map[string]struct {
		script string // sleeps 1001 in the end
		note   bool
		left   bool // the process is not found
	}{
		"in-its-session":     {"env -u TOKEN sleep 1001 & exec sleep 1000", false, false},
		"has-the-variable":   {"setsid sleep 1001 & exec sleep 1000", false, false},
		"both-gone":          {"env -u TOKEN setsid sleep 1001 & exec sleep 1000", false, true},
		"both-gone-was-seen": {"env -u TOKEN setsid sleep 1001 & exec sleep 1000", true, false},
		"below-another":      {"setsid sh -c 'env -u TOKEN sleep 1001; true' & exec sleep 1000", false, true},
		"below-another-seen": {"setsid sh -c 'env -u TOKEN sleep 1001; true' & exec sleep 1000", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
				return
			}
			testenv.Must(t, sys.SetSubreaper())
			f := &family{started: map[int]bool{}}
			d := f.byAncestry()
			command := f.start(t, []string{"TOKEN=preset"}, "(setsid sleep 1002 &) ; (sleep 1002 &) ; exec sleep 1003")
			f.becomes(t, c.script)
			await(t, "1000", 1)
			await(t, "1001", 1)
			agents := await(t, "1002", 2)
			await(t, "1003", 1)
			if c.note {
				testenv.Must(t, d.Note())
			}
			testenv.Must(t, sys.Kill(f.gateway, unix.SIGKILL))
			testenv.Eventually(t, "the gateway to be reaped", func() bool {
				reap(t)
				return errors.Is((procfs.ID{PID: f.gateway}).Verify(), procfs.ErrGone)
			})
			delete(f.started, f.gateway)
			testenv.Must(t, d.Note()) // it has ended, so the earlier record counts
			testenv.Eventually(t, "nothing of the gateway to be left", func() bool {
				testenv.Must(t, d.Sweep())
				reap(t)
				alive, err := d.Alive()
				testenv.Must(t, err)
				return !alive
			})
			if left := len(sleepers(t, "1001")) > 0; left != c.left {
				t.Errorf("its helper is left: %t, want %t", left, c.left)
			}
			if got := sleepers(t, "1002"); !slices.Equal(got, agents) || !f.started[command] || len(sleepers(t, "1003")) != 1 {
				t.Errorf("the agent had %v and has %v", agents, got)
			}
		})
	}
}

// TestByAncestryWaitsForTheKilled checks that a process found by its token counts
// until it is reaped. It has no environment after SIGKILL, but may still listen.
func TestByAncestryWaitsForTheKilled(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	f := &family{started: map[int]bool{}}
	d := f.byAncestry()
	f.becomes(t, "setsid sleep 1001 & exec sleep 1000")
	await(t, "1000", 1)
	await(t, "1001", 1)
	testenv.Must(t, sys.Kill(f.gateway, unix.SIGKILL))
	testenv.Eventually(t, "the gateway to be reaped", func() bool {
		reap(t)
		return errors.Is((procfs.ID{PID: f.gateway}).Verify(), procfs.ErrGone)
	})
	delete(f.started, f.gateway)
	testenv.Must(t, d.Sweep())
	await(t, "1001", 0) // a zombie has no command line either
	if alive, err := d.Alive(); err != nil || !alive {
		t.Errorf("alive %t, %v: it has not been reaped", alive, err)
	}
	testenv.Eventually(t, "it to be gone when it has been reaped", func() bool {
		reap(t)
		alive, err := d.Alive()
		testenv.Must(t, err)
		return !alive
	})
}

// TestByAncestryRemembersDescendants checks that a process once seen below the
// gateway is remembered until it has ended.
func TestByAncestryRemembersDescendants(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	fifo := t.TempDir() + "/fifo"
	testenv.Must(t, unix.Mkfifo(fifo, 0o600))
	f := &family{started: map[int]bool{}}
	d := f.byAncestry()
	f.becomes(t, "sh -c 'env -u TOKEN setsid sleep 1001 & env -u TOKEN setsid sleep 1002 & read x < "+fifo+"' & exec sleep 1000")
	await(t, "1000", 1)
	helper, brief := await(t, "1001", 1)[0], await(t, "1002", 1)[0]
	testenv.Must(t, d.Note())
	testenv.Must(t, os.WriteFile(fifo, []byte("go\n"), 0o600))
	testenv.Eventually(t, "the helper to be orphaned", func() bool {
		st, err := procfs.ReadStat(helper)
		return err == nil && st.PPID == os.Getpid()
	})
	testenv.Must(t, sys.Kill(brief, unix.SIGKILL))
	testenv.Eventually(t, "the other one to be gone", func() bool {
		reap(t)
		_, err := procfs.ReadStat(brief)
		return errors.Is(err, procfs.ErrGone)
	})
	testenv.Must(t, d.Note())
	testenv.Must(t, d.Note())
	if _, seen := d.noted[brief]; seen {
		t.Error("one that has ended is remembered")
	}
	testenv.Must(t, d.Sweep())
	await(t, "1001", 0)
}

// TestByAncestrySparesOlderSessions checks that a process in a session older than the
// gateway is not the gateway's, whatever its environment holds.
func TestByAncestrySparesOlderSessions(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, sys.SetSubreaper())
	fifo := t.TempDir() + "/fifo"
	testenv.Must(t, unix.Mkfifo(fifo, 0o600))
	f := &family{started: map[int]bool{}}
	d := f.byAncestry()
	f.start(t, nil, "(sleep 1002 &) ; read x < "+fifo+"; (TOKEN=secret sleep 1002 &) ; exec sleep 1003")
	await(t, "1002", 1)
	began, err := procfs.Identify(sleepers(t, "1002")[0])
	testenv.Must(t, err)
	testenv.Eventually(t, "the clock's next tick", func() bool {
		now, err := procfs.Identify(f.start(t, nil, "exec sleep 1004"))
		testenv.Must(t, err)
		return now.Start > began.Start
	})
	f.becomes(t, "setsid sleep 1001 & exec sleep 1000")
	await(t, "1000", 1)
	await(t, "1001", 1)
	testenv.Must(t, os.WriteFile(fifo, []byte("go\n"), 0o600))
	agents := await(t, "1002", 2)
	await(t, "1003", 1)
	testenv.Must(t, sys.Kill(f.gateway, unix.SIGKILL))
	testenv.Eventually(t, "nothing of the gateway to be left", func() bool {
		reap(t)
		testenv.Must(t, d.Sweep())
		alive, err := d.Alive()
		testenv.Must(t, err)
		return !alive
	})
	if got := sleepers(t, "1002"); !slices.Equal(got, agents) || len(sleepers(t, "1001")) != 0 {
		t.Errorf("the agent had %v and has %v", agents, got)
	}
}

// TestByAncestrySignalsAllButTheGateway checks that orphans get the signal, too.
func TestByAncestrySignalsAllButTheGateway(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	f := &family{started: map[int]bool{}}
	d := f.byAncestry()
	f.becomes(t, "sleep 1001 & exec sleep 1000")
	f.start(t, nil, "(setsid sleep 1002 &) ; sleep 1002; exec sleep 1002")
	await(t, "1002", 2)
	await(t, "1001", 1)
	headless, err := os.StartProcess("/proc/self/exe", []string{"agent"}, &os.ProcAttr{Env: []string{testenv.Headless}})
	testenv.Must(t, err)
	testenv.Eventually(t, "the end of its first thread", func() bool {
		st, err := procfs.ReadStat(headless.Pid)
		return err == nil && st.State == 'Z' && st.Threads > 1
	})
	if others, err := d.Others(0); err != nil || !others {
		t.Fatalf("others %t, %v", others, err)
	}
	d.Signal(0, unix.SIGKILL)
	testenv.Eventually(t, "the agent's to be gone", func() bool {
		reap(t)
		others, err := d.Others(0)
		testenv.Must(t, err)
		return !others
	})
	if st, err := procfs.ReadStat(headless.Pid); err == nil && !st.Ended() { // it may not be reaped yet
		t.Errorf("what has lost its first thread is left: %+v", st)
	}
	if len(sleepers(t, "1000")) != 1 || len(sleepers(t, "1001")) != 1 {
		t.Error("the gateway was signalled, too")
	}
}

// TestByAncestrySignalsWithoutPidfd checks that without pidfd children get their
// signal by pid, and their descendants get it once they are our children.
func TestByAncestrySignalsWithoutPidfd(t *testing.T) {
	for name, c := range map[string]struct {
		errno unix.Errno
		call  uint32
	}{
		"old-kernel":     {unix.ENOSYS, unix.SYS_PIDFD_OPEN},
		"profile":        {unix.EPERM, unix.SYS_PIDFD_OPEN},
		"without-signal": {unix.EPERM, unix.SYS_PIDFD_SEND_SIGNAL},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
				return
			}
			f := &family{started: map[int]bool{}}
			d := f.byAncestry()
			f.becomes(t, "sleep 1001 & exec sleep 1000")
			f.start(t, nil, "(setsid sleep 1002 &) ; sleep 1002 & exec sleep 1003")
			await(t, "1003", 1)
			await(t, "1002", 2)
			await(t, "1001", 1)
			testenv.Refuse(t, c.errno, c.call)
			testenv.Eventually(t, "the agent's to be gone", func() bool {
				d.Signal(0, unix.SIGKILL)
				reap(t)
				others, err := d.Others(0)
				testenv.Must(t, err)
				return !others
			})
			if len(sleepers(t, "1000")) != 1 || len(sleepers(t, "1001")) != 1 {
				t.Error("the gateway was signalled, too")
			}
		})
	}
}

// TestByAncestryWaitsForItsOwnHidden checks that the end waits for our own processes
// that hidepid hides (not dumpable), and not for those of other users.
func TestByAncestryWaitsForItsOwnHidden(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	f := &family{started: map[int]bool{}}
	d := f.byAncestry()
	run(t, stranger, "exec sleep 1002")
	hidden := run(t, gateway, "exec sleep 1003")
	await(t, "1002", 1)
	await(t, "1003", 1)
	testenv.Must(t, unix.Mount("proc", "/proc", "proc", 0, "hidepid=1"))
	testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(testenv.Stranger+1), syscall.Setuid(gateway)))
	if _, err := procfs.ReadStat(hidden); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("it is not hidden: %v", err)
	}
	if alive, err := d.Others(0); err == nil && !alive {
		t.Error("one of ours, hidden, passes for gone")
	}
	testenv.Must(t, sys.Kill(hidden, unix.SIGKILL))
	reap(t)
	testenv.Eventually(t, "nobody to be waited for", func() bool {
		reap(t)
		alive, err := d.Others(0)
		return err == nil && !alive
	})
}

// TestByAncestryFindsNoneBeforeAnyGateway checks that before the first gateway no
// process counts as the gateway's, even if it has the same value in its environment.
func TestByAncestryFindsNoneBeforeAnyGateway(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	f := &family{started: map[int]bool{}}
	d := f.byAncestry()
	f.start(t, []string{"TOKEN=secret"}, "(setsid sleep 1002 &) ; exec sleep 1003")
	await(t, "1002", 1)
	await(t, "1003", 1)
	testenv.Must(t, d.Sweep())
	if alive, err := d.Alive(); alive || err != nil {
		t.Errorf("alive %t, %v", alive, err)
	}
	if len(sleepers(t, "1002")) != 1 {
		t.Error("a stranger was swept")
	}
}

// TestHasToken checks that the token is found at any place, and nothing similar.
func TestHasToken(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	long := strings.Repeat("x", 32<<10)
	asked := map[string]bool{}
	d := NewByAncestry("TOKEN", func(value []byte) bool {
		asked[string(value)] = true
		return string(value) == "secret" || string(value) == long[:maxValue+1]
	})
	for name, c := range map[string]struct {
		env  []string
		want bool
	}{
		"alone":           {[]string{"TOKEN=secret"}, true},
		"behind-much":     {[]string{"A=" + long, "B=" + long, "TOKEN=secret"}, true},
		"before-much":     {[]string{"TOKEN=secret", "A=" + long}, true},
		"name-across":     {[]string{"A=" + long[:32<<10-6], "TOKEN=secret"}, true},
		"value-across":    {[]string{"A=" + long[:32<<10-12], "TOKEN=secret"}, true},
		"twice":           {[]string{"TOKEN=preset", "TOKEN=secret"}, true},
		"another-value":   {[]string{"TOKEN=preset"}, false},
		"begins-like-it":  {[]string{"TOKEN=secrets"}, false},
		"beginning-of-it": {[]string{"TOKEN=secre"}, false},
		"too-long":        {[]string{"TOKEN=" + long[:maxValue+1]}, false},
		"much-too-long":   {[]string{"TOKEN=" + long}, false},
		"empty":           {[]string{"A=b", "TOKEN="}, false},
		"longer-name":     {[]string{"TOKENS=secret", "MYTOKEN=secret"}, false},
		"in-a-value":      {[]string{"A=TOKEN=secret"}, false},
		"nothing":         {nil, false},
	} {
		f := &family{started: map[int]bool{}}
		pid := f.start(t, c.env, "exec sleep 1000")
		await(t, "1000", 1)
		if got := d.hasToken(pid); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
		testenv.Must(t, sys.Kill(pid, unix.SIGKILL))
		testenv.Eventually(t, "the zombie", func() bool { return len(sleepers(t, "1000")) == 0 })
		if d.hasToken(pid) {
			t.Errorf("%s: a zombie has it", name)
		}
		reap(t)
	}
	if d.hasToken(1 << 22) {
		t.Error("nobody has it")
	}
	zero, err := os.Open("/dev/zero")
	testenv.Must(t, err)
	defer zero.Close()
	if d.tokenIn(zero) {
		t.Error("an environment without end has it")
	}
	if !asked["preset"] || !asked[""] {
		t.Errorf("asked about %v", asked)
	}
}
