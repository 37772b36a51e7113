// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestHiddenIsNotGone checks, for each kind of hidepid, that a process that /proc does not
// show does not count as gone, and that one that has ended does.
func TestHiddenIsNotGone(t *testing.T) {
	for _, options := range []string{"hidepid=1,gid=1234", "hidepid=2,gid=1234", "hidepid=4"} {
		t.Run(options, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
				return
			}
			shown := sleeper(testenv.Stranger, "sleep")
			testenv.Must(t, shown.Start())
			id, err := Identify(shown.Process.Pid)
			testenv.Must(t, err)
			testenv.Must(t, unix.Mount("proc", "/proc", "proc", unix.MS_REMOUNT, options))
			testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(testenv.Stranger+1), syscall.Setuid(testenv.Stranger+1)))
			looks := map[string]func(pid int) error{
				"stat":   func(pid int) error { _, err := ReadStat(pid); return err },
				"uid":    func(pid int) error { _, err := ReadUID(pid); return err },
				"status": func(pid int) error { _, err := ReadStatus(pid); return err },
				"hold":   func(pid int) error { _, err := Hold(pid); return err },
				"files":  func(pid int) error { return EachFile(pid, 100, func(string) error { return nil }) },
				"list":   func(pid int) error { _, err := Children(pid, 100); return err },
				"verify": func(pid int) error { return ID{pid, id.Start}.Verify() },
			}
			for name, look := range looks {
				if err := look(id.PID); !errors.Is(err, ErrHidden) || IsGone(err) {
					t.Errorf("%s of a hidden process: %v", name, err)
				}
				if err := look(1 << 22); !IsGone(err) && name != "list" {
					t.Errorf("%s of none: %v", name, err)
				}
			}
			if _, err := ReadStat(os.Getpid()); err != nil {
				t.Errorf("our own stat: %v", err)
			}
		})
	}
}

// TestCheckRefusesAnotherNamespace checks that the /proc of another PID namespace is
// refused, whose pids mean other processes than those of system calls.
func TestCheckRefusesAnotherNamespace(t *testing.T) {
	testenv.Must(t, Check())
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, Check())
	// The child of unshare is PID 1 of a new PID namespace, under our /proc.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"=checker")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != errForeign.Error() {
		t.Errorf("got %q, %v", out, err)
	}
	// The other way around: we are not in the PID namespace of /proc, so it has no self.
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"=mounter")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%q, %v", out, err)
	}
	if err := Check(); err == nil || err.Error() != errForeign.Error() {
		t.Errorf("without self: %v", err)
	}
}

// TestRefusedFilesAreNotHidden checks that the files of a process that /proc shows are
// refused by the kernel's own error. Otherwise an operator would look for hidepid.
func TestRefusedFilesAreNotHidden(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	shown := sleeper(testenv.Stranger, "sleep")
	testenv.Must(t, shown.Start())
	testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(testenv.Stranger+1), syscall.Setuid(testenv.Stranger+1)))
	err := EachFile(shown.Process.Pid, 100, func(string) error { return nil })
	if !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrHidden) {
		t.Errorf("got %v", err)
	}
}
