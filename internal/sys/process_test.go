// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

const gateway, stranger = testenv.Gateway, testenv.Stranger

// sleeper starts a process of uid that leads its own session. It keeps the test on
// its thread, because the child would die with the thread that forked it, and
// KillUser ends a thread that it cannot put back.
func sleeper(t *testing.T, uid uint32) *exec.Cmd {
	t.Helper()
	runtime.LockOSThread()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// lives reports whether cmd neither ended nor was stopped.
func lives(t *testing.T, cmd *exec.Cmd) bool {
	t.Helper()
	return strings.Contains("RSD", state(t, cmd.Process.Pid))
}

// state returns the letter in /proc/PID/status.
func state(t *testing.T, pid int) string {
	t.Helper()
	return testenv.Status(t, "/proc/"+strconv.Itoa(pid)+"/status")["State"][:1]
}

// TestKillUser checks that every process of one user ends, and no other. Afterwards
// every thread is root again, with all rights.
func TestKillUser(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	if err := KillUser(gateway, unix.SIGKILL); err != nil { // there is none
		t.Errorf("alone: %v", err)
	}
	before := testenv.Status(t, "/proc/self/status")
	root, other := sleeper(t, 0), sleeper(t, stranger)
	var victims []*exec.Cmd
	for range 5 {
		victims = append(victims, sleeper(t, gateway))
	}
	if alive, err := UserAlive(gateway); err != nil || !alive {
		t.Errorf("before: %v %v", alive, err)
	}
	testenv.Must(t, KillUser(gateway, 0)) // signal 0 does no harm
	testenv.Must(t, KillUser(gateway, unix.SIGKILL))
	for _, v := range victims {
		testenv.Eventually(t, "a zombie", func() bool { return state(t, v.Process.Pid) == "Z" })
	}
	if alive, err := UserAlive(gateway); err != nil || !alive {
		t.Errorf("zombies do not count: %v %v", alive, err)
	}
	for _, v := range victims {
		if err := v.Wait(); !strings.Contains(err.Error(), "killed") {
			t.Errorf("ended by %v", err)
		}
	}
	if alive, err := UserAlive(gateway); err != nil || alive {
		t.Errorf("after: %v %v", alive, err)
	}
	for name, cmd := range map[string]*exec.Cmd{"root's": root, "a stranger's": other} {
		if !lives(t, cmd) {
			t.Errorf("%s process is in state %s", name, state(t, cmd.Process.Pid))
		}
	}
	if alive, err := UserAlive(stranger); err != nil || !alive {
		t.Errorf("the stranger: %v %v", alive, err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	testenv.Must(t, err)
	for _, task := range tasks {
		f := testenv.Status(t, "/proc/self/task/"+task.Name()+"/status")
		if f["Uid"] != "0 0 0 0" || f["CapEff"] != before["CapEff"] || f["CapPrm"] != before["CapPrm"] {
			t.Errorf("thread %s is %s with %s", task.Name(), f["Uid"], f["CapEff"])
		}
	}
}

// TestKillUserEndsItsProcesses checks that the signal reaches a process of the uid.
func TestKillUserEndsItsProcesses(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	cmd := sleeper(t, gateway)
	testenv.Must(t, KillUser(gateway, unix.SIGTERM))
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("ended by %v", err)
	}
}

// TestKillUserRefused checks that without the right no process is signaled, and no
// process of root ever is.
func TestKillUserRefused(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	root := sleeper(t, 0)
	if err := KillUser(0, unix.SIGKILL); !errors.Is(err, unix.EINVAL) {
		t.Errorf("root: %v", err)
	}
	cmd := sleeper(t, gateway)
	if err := KillUser(gateway, 99); !errors.Is(err, unix.EINVAL) {
		t.Errorf("signal 99: %v", err)
	}
	testenv.Must(t, SetCaps(1<<unix.CAP_KILL))
	if err := KillUser(gateway, unix.SIGKILL); !errors.Is(err, unix.EPERM) {
		t.Errorf("without CAP_SETUID: %v", err)
	}
	for _, c := range []*exec.Cmd{root, cmd} {
		if !lives(t, c) {
			t.Errorf("process %d is in state %s", c.Process.Pid, state(t, c.Process.Pid))
		}
	}
}

func TestUserAliveRefused(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Refuse(t, unix.EPERM, unix.SYS_GETPRIORITY)
	if alive, err := UserAlive(gateway); alive || !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v %v", alive, err)
	}
}

func TestPidfd(t *testing.T) {
	testenv.Root(t)
	cmd := sleeper(t, gateway)
	fd, err := PidfdOpen(cmd.Process.Pid)
	testenv.Must(t, err)
	defer unix.Close(fd)
	if inherited(t, fd) {
		t.Error("a child would inherit it")
	}
	testenv.Must(t, PidfdSignal(fd, 0))
	testenv.Must(t, Kill(cmd.Process.Pid, 0))
	testenv.Must(t, PidfdSignal(fd, unix.SIGKILL))
	cmd.Wait()
	if err := PidfdSignal(fd, unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
		t.Errorf("one that ended: %v", err)
	}
	if err := Kill(cmd.Process.Pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("one that was reaped: %v", err)
	}
	if _, err := PidfdOpen(cmd.Process.Pid); !errors.Is(err, unix.ESRCH) {
		t.Errorf("opening one that was reaped: %v", err)
	}
	if err := PidfdSignal(-1, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("none: %v", err)
	}
}

func TestDumpable(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	for _, want := range []bool{false, true, false} {
		testenv.Must(t, SetDumpable(want))
		if got, err := Dumpable(); err != nil || got != want {
			t.Errorf("got %v %v, want %v", got, err, want)
		}
	}
}
