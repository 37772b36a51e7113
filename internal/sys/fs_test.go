// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestFSMagicAndSpace(t *testing.T) {
	testenv.Root(t)
	proc := testenv.Dir(t, "/proc")
	small := testenv.Tmpfs(t, "size=8k")
	for name, c := range map[string]struct {
		dir  *os.File
		want int64
	}{"proc": {proc, ProcMagic}, "tmpfs": {small, TmpfsMagic}, "ramfs": {testenv.Ramfs(t), RamfsMagic}} {
		if got, err := FSMagic(c.dir); err != nil || got != c.want {
			t.Errorf("%s: got %#x %v, want %#x", name, got, err, c.want)
		}
	}
	if free, total, err := Space(small); err != nil || free != 8192 || total != 8192 {
		t.Errorf("empty: %d of %d, %v", free, total, err)
	}
	testenv.Must(t, os.WriteFile(testenv.Path(small, "x"), make([]byte, 4096), 0o600))
	if free, total, err := Space(small); err != nil || free != 4096 || total != 8192 {
		t.Errorf("half full: %d of %d, %v", free, total, err)
	}
	if _, total, err := Space(testenv.Tmpfs(t, "size=0")); err != nil || total != 0 {
		t.Errorf("without a bound: %d, %v", total, err)
	}
	closed := testenv.Dir(t, "/proc")
	closed.Close()
	_, err1 := FSMagic(closed)
	_, _, err2 := Space(closed)
	for _, err := range []error{err1, err2} {
		if call := (*os.SyscallError)(nil); !errors.Is(err, unix.EBADF) || !errors.As(err, &call) || call.Syscall != "fstatfs" {
			t.Errorf("closed: %v", err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", unix.MS_RDONLY, ""))
	if !ReadOnly("/mnt") || ReadOnly("/tmp") || ReadOnly("/no/such") {
		t.Errorf("read-only: /mnt %v, /tmp %v, a missing one %v", ReadOnly("/mnt"), ReadOnly("/tmp"), ReadOnly("/no/such"))
	}
}

// TestTakeForeground checks that a background group can take the terminal. The kernel
// would stop it, and with it PID 1's child.
func TestTakeForeground(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	signal.Ignore(unix.SIGHUP) // the terminal's end sends it, below
	master, tty, err := pty.Open()
	testenv.Must(t, err)
	defer master.Close()
	defer tty.Close()
	if null := leaky(t, 1)[0]; !IsTerminal(int(tty.Fd())) || IsTerminal(null) || IsTerminal(-1) {
		t.Error("IsTerminal is wrong")
	}
	if err := TakeForeground(int(tty.Fd())); !errors.Is(err, unix.ENOTTY) { // not ours yet
		t.Errorf("somebody else's terminal: %v", err)
	}
	_, err = unix.Setsid()
	testenv.Must(t, err)
	testenv.Must(t, unix.IoctlSetInt(int(tty.Fd()), unix.TIOCSCTTY, 0))
	other := exec.Command("sleep", "1000")
	other.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: int(tty.Fd()), Pdeathsig: syscall.SIGKILL}
	testenv.Must(t, other.Start())
	defer other.Wait()
	defer other.Process.Kill()
	if group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP); err != nil || group != other.Process.Pid {
		t.Fatalf("the foreground is %d, %v", group, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	testenv.Must(t, TakeForeground(int(tty.Fd())))
	if group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		t.Errorf("the foreground is %d, %v, want %d", group, err, unix.Getpgrp())
	}
	blocked, err := strconv.ParseUint(testenv.Status(t, "/proc/thread-self/status")["SigBlk"], 16, 64)
	if err != nil || blocked&(1<<(unix.SIGTTOU-1)) != 0 {
		t.Errorf("SIGTTOU stayed blocked: %x %v", blocked, err)
	}
}

func TestMemfd(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	data := bytes.Repeat([]byte("order"), 2000)
	f, err := Memfd("orders", data)
	testenv.Must(t, err)
	defer f.Close()
	got := make([]byte, len(data)+1)
	if n, err := f.Read(got); err != nil || !bytes.Equal(got[:n], data) || inherited(t, int(f.Fd())) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	testenv.Refuse(t, unix.ENOSPC, unix.SYS_PWRITE64)
	before, err := openFDs()
	testenv.Must(t, err)
	if _, err := Memfd("orders", data); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("no room: %v", err)
	}
	if after, err := openFDs(); err != nil || len(after) != len(before) {
		t.Errorf("%d descriptors became %d, %v", len(before), len(after), err)
	}
	testenv.Refuse(t, unix.ENOSYS, unix.SYS_MEMFD_CREATE)
	if _, err := Memfd("orders", data); !errors.Is(err, unix.ENOSYS) {
		t.Errorf("no memfd_create: %v", err)
	}
}

func TestRandom(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	var a, b [32]byte
	testenv.Must(t, errors.Join(Random(a[:]), Random(b[:])))
	if a == b || a == [32]byte{} {
		t.Errorf("%x, then %x", a, b)
	}
}

// TestRandomRefused checks that a refusal is an error, never a token of zeros. The
// first draw of a process asks the kernel, and later ones may not (vdso(7)).
func TestRandomRefused(t *testing.T) {
	for name, errno := range map[string]unix.Errno{"refused": unix.EPERM, "fills-nothing": 0} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			testenv.Refuse(t, errno, unix.SYS_GETRANDOM)
			if err := Random(make([]byte, 32)); err == nil {
				t.Error("passed for randomness")
			}
		})
	}
}

// TestReadFile checks a file that takes more than one buffer, one whose size is not
// known, and the error for one that is not there.
func TestReadFile(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	want := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	testenv.Must(t, os.WriteFile(big, want, 0o600))
	if got, err := ReadFile(big); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := ReadFile("/proc/self/stat"); err != nil || !bytes.HasPrefix(got, []byte(strconv.Itoa(os.Getpid())+" (")) {
		t.Errorf("%q, %v", got, err)
	}
	_, wantErr := os.ReadFile(big + "2")
	if _, err := ReadFile(big + "2"); !errors.Is(err, os.ErrNotExist) || err.Error() != wantErr.Error() {
		t.Errorf("got %v, want %v", err, wantErr)
	}
}

// TestReadNames checks a directory that takes more than one buffer.
func TestReadNames(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 300 {
		name := fmt.Sprintf("a-rather-long-name-%03d", i)
		want = append(want, name)
		testenv.Must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	got, err := ReadNames(dir)
	if slices.Sort(got); err != nil || !slices.Equal(got, want) {
		t.Errorf("%d names, %v", len(got), err)
	}
	if _, err := ReadNames(filepath.Join(dir, want[0])); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file: %v", err)
	}
}
