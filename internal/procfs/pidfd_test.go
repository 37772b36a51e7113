// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestPidfdProves checks that the process is verified after the pidfd is there. In
// between it ends here, and its pid goes to another one.
func TestPidfdProves(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	cmd, p := start(t, exec.Command("/bin/sleep", "1000"))
	k, err := p.Snapshot()
	testenv.Must(t, err)
	fd, err := p.pidfd(k, func(pid int) (int, error) {
		testenv.Must(t, cmd.Process.Kill())
		cmd.Wait()
		testenv.Must(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", fmt.Append(nil, k.PID-1), 0))
		start(t, exec.Command("/bin/sleep", "1000"))
		return unix.PidfdOpen(pid, 0)
	})
	if err == nil || fd != nil {
		t.Errorf("%v, %v", fd, err)
	}
}

// TestPidfd checks that the pidfd is of the process that was recorded.
func TestPidfd(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	testenv.Must(t, err)
	testenv.Must(t, cmd.Start())
	defer cmd.Wait()
	defer in.Close()
	id, err := Identify(cmd.Process.Pid)
	testenv.Must(t, err)
	f, err := id.Pidfd()
	testenv.Must(t, err)
	defer f.Close()
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v", flags, err)
	}
	if ended, err := sys.Ended(int(f.Fd()), 0); ended || err != nil {
		t.Errorf("while it lives: %v, %v", ended, err)
	}
	if f, err := (ID{id.PID, id.Start + 1}).Pidfd(); f != nil || !errors.Is(err, ErrReplaced) {
		t.Errorf("another process with that pid: %v, %v", f, err)
	}
	in.Close()
	testenv.Eventually(t, "the pidfd to be readable", func() bool {
		ended, err := sys.Ended(int(f.Fd()), 0)
		testenv.Must(t, err)
		return ended
	})
	if f, err := id.Pidfd(); f != nil || !errors.Is(err, ErrGone) { // a zombie has a pidfd
		t.Errorf("a zombie: %v, %v", f, err)
	}
	cmd.Wait()
	if f, err := id.Pidfd(); f != nil || !errors.Is(err, syscall.ESRCH) {
		t.Errorf("no process: %v, %v", f, err)
	}
}

// TestWithoutPidfd checks an old kernel, or a seccomp profile, that refuses.
func TestWithoutPidfd(t *testing.T) {
	for name, errno := range map[string]unix.Errno{"old-kernel": unix.ENOSYS, "profile": unix.EPERM, "before-5.10": unix.EINVAL} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			id, err := Identify(os.Getpid())
			testenv.Must(t, err)
			testenv.Refuse(t, errno, unix.SYS_PIDFD_OPEN)
			if f, err := id.Pidfd(); f != nil || !errors.Is(err, ErrNoPidfd) || !errors.Is(err, errno) {
				t.Errorf("got %v, %v", f, err)
			}
		})
	}
}

func TestSignal(t *testing.T) {
	cmd, p := start(t, exec.Command("/bin/sleep", "1000"))
	k, err := p.Snapshot()
	testenv.Must(t, err)
	fd, err := p.Pidfd(k)
	testenv.Must(t, err)
	defer fd.Close()
	testenv.Must(t, Signal(fd, unix.SIGTERM))
	cmd.Wait()
	if err := Signal(fd, unix.SIGTERM); !errors.Is(err, unix.ESRCH) {
		t.Errorf("reaped: %v", err)
	}
	if _, err := p.Pidfd(k); !errors.Is(err, ErrGone) {
		t.Errorf("a pidfd of one that is gone: %v", err)
	}
}

// TestNoPidfd checks that without pidfds no process is signaled.
func TestNoPidfd(t *testing.T) {
	for name, errno := range map[string]unix.Errno{"old kernel": unix.ENOSYS, "seccomp": unix.EPERM, "before PIDFD_NONBLOCK": unix.EINVAL} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			p, err := Open(os.Getppid())
			testenv.Must(t, err)
			defer p.Close()
			k, err := p.Snapshot()
			testenv.Must(t, err)
			testenv.Refuse(t, errno, unix.SYS_PIDFD_OPEN)
			if _, err := p.Pidfd(k); !errors.Is(err, ErrNoPidfd) {
				t.Errorf("%v", err)
			}
		})
	}
}
