// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestSnapshotSelf(t *testing.T) {
	p, err := Open(os.Getpid())
	testenv.Must(t, err)
	defer p.Close()
	k, err := p.Snapshot()
	testenv.Must(t, err)
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	if k.PID != os.Getpid() || k.PPID != os.Getppid() || k.Start == 0 || k.UIDs != [4]uint32{uid, uid, uid, uid} || k.GIDs != [4]uint32{gid, gid, gid, gid} ||
		k.PIDNS == 0 || k.ExeIno == 0 || k.Ino == 0 || len(k.NSpid) == 0 || k.State != Running || k.Ended() || k.Headless() || k.Threads < 2 ||
		len(k.Argv) != len(os.Args) || k.Argv[0] != os.Args[0] {
		t.Errorf("%+v", k)
	}
	testenv.Must(t, p.Verify(k))
	net, err := p.Network()
	testenv.Must(t, err)
	net.Close()
}

// TestOddNames checks that a name or an argument, which a process chooses, is not
// mistaken for the field after it.
func TestOddNames(t *testing.T) {
	testenv.Root(t)
	for _, name := range []string{") S 1 1 (", "a\nUid:\t0\t0", "x y", "(", ")))"} {
		cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{name}, Env: append(os.Environ(), roleEnv+"=named"),
			SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}}
		_, p := start(t, cmd)
		comm := name[:min(len(name), 15)]
		var k Snapshot
		testenv.Eventually(t, "its name", func() (ok bool) {
			var err error
			k, err = p.Snapshot()
			return err == nil && k.Comm == comm
		})
		if k.Argv[0] != name || k.PPID != os.Getpid() || k.UIDs[0] != testenv.Stranger || k.GIDs[3] != testenv.Stranger {
			t.Errorf("%q: %+v", name, k)
		}
	}
}

// TestDead checks that a zombie is dead. If its other threads live on, it is not, and
// it has neither arguments nor a program.
func TestDead(t *testing.T) {
	cmd, p := start(t, exec.Command("/bin/sleep", "1000"))
	alive, err := p.Snapshot()
	testenv.Must(t, err)
	testenv.Must(t, cmd.Process.Kill())
	testenv.Eventually(t, "a zombie", func() bool {
		k, err := p.Snapshot()
		return err == nil && k.Ended() && len(k.Argv) == 0 && k.ExeIno == 0
	})
	if err := p.Verify(alive); !errors.Is(err, ErrChanged) { // it has no program any more
		t.Errorf("a zombie: %v", err)
	}
	zombie, err := p.Snapshot()
	testenv.Must(t, err)
	if err := p.Verify(zombie); !errors.Is(err, ErrGone) {
		t.Errorf("as a zombie: %v", err)
	}
	cmd.Wait()
	if err := p.Verify(alive); !errors.Is(err, ErrGone) {
		t.Errorf("reaped: %v", err)
	}
	if _, err := p.Snapshot(); !errors.Is(err, ErrGone) {
		t.Errorf("reaped: %v", err)
	}
	if _, err := Open(cmd.Process.Pid); !errors.Is(err, ErrGone) {
		t.Errorf("open: %v", err)
	}

	first := exec.Command("/proc/self/exe")
	first.Env = []string{testenv.Headless}
	_, p = start(t, first)
	testenv.Eventually(t, "a first thread that has ended", func() bool {
		k, err := p.Snapshot()
		return err == nil && k.Headless() && !k.Ended() && len(k.Argv) == 0
	})
}

func TestStopped(t *testing.T) {
	cmd, p := start(t, exec.Command("/bin/sleep", "1000"))
	k, err := p.Snapshot()
	testenv.Must(t, err)
	testenv.Must(t, cmd.Process.Signal(syscall.SIGSTOP))
	testenv.Eventually(t, "it is stopped", func() bool {
		now, err := p.Snapshot()
		return err == nil && now.State == Stopped
	})
	testenv.Must(t, p.Verify(k)) // the same, stopped or not
}

// TestChanged checks that the stable fields may not change. The others may, but not
// all the time.
func TestChanged(t *testing.T) {
	testenv.Root(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"=turncoat")
	in, err := cmd.StdinPipe()
	testenv.Must(t, err)
	out, err := cmd.StdoutPipe()
	testenv.Must(t, err)
	_, p := start(t, cmd)
	var before Snapshot
	testenv.Eventually(t, "its own program", func() bool {
		before, err = p.Snapshot()
		return err == nil && before.ExeIno != 0
	})
	_, err = in.Write([]byte{0})
	testenv.Must(t, err)
	_, err = out.Read(make([]byte, 16))
	testenv.Must(t, err)
	if err := p.Verify(before); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "uids") {
		t.Errorf("another uid: %v", err)
	}

	_, p = play(t, "restless")
	testenv.Eventually(t, "a process that is never the same", func() bool {
		_, err := p.Snapshot()
		return errors.Is(err, ErrChanged) && strings.Contains(err.Error(), "all the time")
	})
}

// TestIdentity checks that every field of the identity counts.
func TestIdentity(t *testing.T) {
	p, err := Open(os.Getpid())
	testenv.Must(t, err)
	defer p.Close()
	k, err := p.Snapshot()
	testenv.Must(t, err)
	for name, spoil := range map[string]func(*Snapshot){
		"directory": func(k *Snapshot) { k.Ino++ }, "device": func(k *Snapshot) { k.Dev++ }, "start time": func(k *Snapshot) { k.Start++ },
		"parent": func(k *Snapshot) { k.PPID++ }, "session": func(k *Snapshot) { k.Session++ }, "uids": func(k *Snapshot) { k.UIDs[2]++ },
		"gids": func(k *Snapshot) { k.GIDs[1]++ }, "namespaces": func(k *Snapshot) { k.NSpid = append([]int{7}, k.NSpid...) },
		"PID namespace": func(k *Snapshot) { k.PIDNS = 0 }, "program": func(k *Snapshot) { k.ExeIno = 0 }, "pid": func(k *Snapshot) { k.PID++ },
	} {
		other := k
		spoil(&other)
		if err := p.Verify(other); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Snapshot){
		"name": func(k *Snapshot) { k.Comm = "x" }, "arguments": func(k *Snapshot) { k.Argv = nil },
		"state": func(k *Snapshot) { k.State = Stopped }, "threads": func(k *Snapshot) { k.Threads++ },
	} {
		other := k
		change(&other)
		if err := p.Verify(other); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := k.compareVolatile(other); !errors.Is(err, ErrChanged) {
			t.Errorf("%s, read twice: %v", name, err)
		}
	}
}

// TestUnreadable checks fields that root without CAP_SYS_PTRACE may not see.
func TestUnreadable(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	p, err := Open(os.Getppid())
	testenv.Must(t, err)
	defer p.Close()
	testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setresuid(testenv.Stranger, testenv.Stranger, testenv.Stranger)))
	k, err := p.Snapshot()
	if err != nil || k.ExeIno != 0 || k.PIDNS != 0 || len(k.Argv) == 0 || k.UIDs[0] != 0 {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := p.Network(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("its network: %v", err)
	}
	if _, err := p.Environ(1 << 16); !errors.Is(err, os.ErrPermission) {
		t.Errorf("its environment: %v", err)
	}
}

// TestBounds checks that half an answer is an error.
func TestBounds(t *testing.T) {
	testenv.Root(t)
	_, p := start(t, sleeper(0, "sleep", strings.Repeat("0", maxArgv)))
	testenv.Eventually(t, "a refusal of 64 KiB of arguments", func() bool { // not before its exec is over
		_, err := p.Snapshot()
		return errors.Is(err, fsafe.ErrTooLarge)
	})
	if _, err := p.file("status", 10); err == nil {
		t.Error("a file beyond its bound was taken")
	}
	if _, err := p.file("no-such-file", 10); !errors.Is(err, ErrGone) { // a process without this file is one that has ended
		t.Errorf("no such file: %v", err)
	}
}

// TestRecycled checks that the next process with this pid is never taken for the one
// that is held, and never signaled.
func TestRecycled(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	cmd, p := start(t, exec.Command("/bin/sleep", "1000"))
	k, err := p.Snapshot()
	testenv.Must(t, err)
	testenv.Must(t, cmd.Process.Kill())
	cmd.Wait()
	testenv.Must(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", fmt.Append(nil, k.PID-1), 0))
	again, now := start(t, exec.Command("/bin/sleep", "1000"))
	if again.Process.Pid != k.PID {
		t.Fatalf("pid %d, not %d", again.Process.Pid, k.PID)
	}
	if err := p.Verify(k); !errors.Is(err, ErrGone) {
		t.Errorf("held: %v", err)
	}
	if err := now.Verify(k); !errors.Is(err, ErrChanged) {
		t.Errorf("opened anew: %v", err)
	}
	for _, proc := range []*Handle{p, now} {
		if fd, err := proc.Pidfd(k); err == nil {
			fd.Close()
			t.Error("a pidfd of a stranger")
		}
	}
	testenv.Must(t, again.Process.Signal(syscall.Signal(0)))
}

// TestNoProc checks a mount over /proc, which shows processes that do not exist.
func TestNoProc(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	self, err := Open(os.Getpid())
	testenv.Must(t, err)
	defer self.Close()
	k, err := self.Snapshot()
	testenv.Must(t, err)
	dir := fmt.Sprintf("/proc/%d", os.Getpid())
	testenv.Must(t, unix.Mount("/proc/1", dir, "", unix.MS_BIND, ""))
	if err := self.Verify(k); !errors.Is(err, ErrChanged) {
		t.Errorf("somebody else's directory over ours: %v", err)
	}
	testenv.Must(t, unix.Unmount(dir, unix.MNT_DETACH))
	testenv.Must(t, unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""))
	if _, err := Open(1); !errors.Is(err, errProc) {
		t.Errorf("open: %v", err)
	}
}
