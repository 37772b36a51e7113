// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// leaveBehind returns a child that was reaped. Another process of its group lives.
func leaveBehind(t *testing.T) *launch.Proc {
	t.Helper()
	p, err := start(t, program(t, "sh", "-c", "sleep 1000 &"))
	testenv.Must(t, err)
	status, err := waitFor(p.PID)
	testenv.Must(t, err)
	if status.ExitStatus() != 0 {
		t.Fatalf("it ended with %d", status.ExitStatus())
	}
	return p
}

// reapAll reaps every child that has ended.
func reapAll() {
	for pid, err := sys.Peek(); pid != 0 && err == nil; pid, err = sys.Peek() {
		sys.Reap(pid)
	}
}

// TestRestOfGroup checks that a group can be signaled when its leader was reaped, and that
// a group that has the number later gets no signal. kill(2) would reach that one.
func TestRestOfGroup(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	asPID1(t)
	p := leaveBehind(t)
	testenv.Must(t, p.SignalRest(0))
	testenv.Must(t, p.SignalRest(syscall.SIGTERM))
	testenv.Eventually(t, "the end of its group", func() bool {
		reapAll()
		return errors.Is(p.SignalRest(0), unix.ESRCH)
	})
	var stranger *os.Process
	testenv.Eventually(t, "another process with its number", func() bool {
		testenv.Must(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(itoa(p.PID-1)), 0))
		q, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		testenv.Must(t, err)
		stranger = q
		return q.Pid == p.PID // a thread of ours may have taken it
	})
	if err := p.SignalRest(syscall.SIGKILL); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the group is gone: %v", err)
	}
	if s := state(t, stranger.Pid); s == "Z" {
		t.Error("a stranger's group was killed")
	}
	testenv.Must(t, p.SignalGroup(syscall.SIGKILL)) // the number is not enough
	testenv.Eventually(t, "the stranger's end", func() bool { return state(t, stranger.Pid) == "Z" })
	p.Close()
	if err := p.SignalRest(0); !errors.Is(err, unix.ENOSYS) {
		t.Errorf("without a pidfd: %v", err)
	}
}

// TestRestOfGroupOnOldKernels checks that a kernel or a seccomp profile that refuses the
// call is not taken for a group that is gone.
func TestRestOfGroupOnOldKernels(t *testing.T) {
	for name, errno := range map[string]unix.Errno{"before-6.9": unix.EINVAL, "before-5.1": unix.ENOSYS, "profile": unix.EPERM} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWPID) {
				return
			}
			asPID1(t)
			p := leaveBehind(t)
			testenv.Refuse(t, errno, unix.SYS_PIDFD_SEND_SIGNAL)
			if err := p.SignalRest(0); !errors.Is(err, errno) {
				t.Errorf("got %v", err)
			}
		})
	}
}
