// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func contains(data []byte, text string) bool { return bytes.Contains(data, []byte(text)) }

func syscallErr(_, _ uintptr, e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := pty.Open()
	testenv.Must(t, err)
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

func termios(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	got, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	testenv.Must(t, err)
	return *got
}

// TestRaw checks that raw mode changes no byte, and that the old mode comes back.
func TestRaw(t *testing.T) {
	master, slave := openPTY(t)
	before := termios(t, slave)
	mode, err := MakeRaw(slave)
	testenv.Must(t, err)
	sent := []byte("a\r\n\x03\x04\x11\x13\x1a\x1c\x7f\xff\x00")
	for from, to := range map[*os.File]*os.File{master: slave, slave: master} {
		_, err := from.Write(sent)
		testenv.Must(t, err)
		got := make([]byte, len(sent))
		if n, err := to.Read(got); err != nil || !bytes.Equal(got[:n], sent) {
			t.Errorf("%q became %q, %v", sent, got[:n], err)
		}
	}
	testenv.Must(t, SetMode(slave, mode))
	if after := termios(t, slave); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
}

func TestTerminalErrors(t *testing.T) {
	file, err := os.Open("/dev/null")
	testenv.Must(t, err)
	_, slave := openPTY(t)
	_, raw := MakeRaw(file)
	for name, err := range map[string]error{
		"raw": raw, "mode": SetMode(file, Mode{}), "size-from": CopySize(file, slave), "size-to": CopySize(slave, file),
		"signal": SignalForeground(file, unix.SIGINT),
	} {
		if !errors.Is(err, unix.ENOTTY) {
			t.Errorf("%s of no terminal: %v", name, err)
		}
	}
	testenv.Must(t, file.Close())
	_, raw = MakeRaw(file)
	_, again := NonBlocking(file)
	for name, err := range map[string]error{"raw": raw, "non-blocking": again} {
		if err == nil {
			t.Errorf("%s of a closed file", name)
		}
	}
}

func TestCopySize(t *testing.T) {
	_, from := openPTY(t)
	master, slave := openPTY(t)
	testenv.Must(t, pty.Setsize(from, &pty.Winsize{Rows: 11, Cols: 22, X: 33, Y: 44}))
	testenv.Must(t, CopySize(from, master))
	if got, err := pty.GetsizeFull(slave); err != nil || *got != (pty.Winsize{Rows: 11, Cols: 22, X: 33, Y: 44}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestSignalForeground checks that the signal goes to the group that has the
// terminal, without a pid.
func TestSignalForeground(t *testing.T) {
	master, slave := openPTY(t)
	for sig, want := range map[unix.Signal]string{unix.SIGINT: "int", unix.SIGQUIT: "quit"} {
		cmd := exec.Command("/bin/sh", "-c", `trap 'echo int; exit 0' INT; trap 'echo quit; exit 0' QUIT; echo ready; while :; do read x; done`)
		cmd.Stdin, cmd.Stdout, cmd.SysProcAttr = slave, slave, &syscall.SysProcAttr{Setsid: true, Setctty: true}
		testenv.Must(t, cmd.Start())
		waitOutput(t, master, "ready")
		testenv.Must(t, SignalForeground(master, sig))
		waitOutput(t, master, want)
		testenv.Must(t, cmd.Wait())
	}
	if err := SignalForeground(master, unix.SIGTERM); !errors.Is(err, unix.EINVAL) {
		t.Errorf("SIGTERM: %v", err)
	}
}

func waitOutput(t *testing.T, f *os.File, want string) {
	t.Helper()
	var got []byte
	testenv.Eventually(t, want, func() bool {
		buf := make([]byte, 1024)
		n, err := f.Read(buf)
		testenv.Must(t, err)
		got = append(got, buf[:n]...)
		return contains(got, want)
	})
}

// TestNonBlocking checks that a read has a deadline again.
func TestNonBlocking(t *testing.T) {
	master, _ := openPTY(t)
	master.Fd() // makes it blocking
	again, err := NonBlocking(master)
	testenv.Must(t, err)
	defer again.Close()
	testenv.Must(t, again.SetReadDeadline(time.Now().Add(time.Millisecond)))
	if _, err := again.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestCleanSignals checks that a child starts as if no signal had ever been ignored
// or blocked.
func TestCleanSignals(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	runtime.LockOSThread()
	ignore := [4]uint64{1} // SIG_IGN
	for _, sig := range []uintptr{1, 2, 20, 21, 22, 34, 40, 64} {
		testenv.Must(t, syscallErr(unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)))
	}
	var block unix.Sigset_t
	block.Val[0] = 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGTERM-1)
	testenv.Must(t, unix.PthreadSigmask(unix.SIG_BLOCK, &block, nil))
	clean := func() bool {
		out, err := exec.Command("/bin/cat", "/proc/self/status").Output()
		testenv.Must(t, err)
		return contains(out, "SigBlk:\t0000000000000000\n") && contains(out, "SigIgn:\t0000000000000000\n")
	}
	if clean() {
		t.Fatal("the child inherits nothing anyway")
	}
	testenv.Must(t, CleanSignals())
	if !clean() {
		t.Error("the child inherits what was ignored or blocked")
	}
}

func TestOOMScore(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	before, err := OOMScore()
	testenv.Must(t, err)
	testenv.Must(t, SetOOMScore("777"))
	if now, err := OOMScore(); err != nil || now != "777\n" {
		t.Errorf("got %q, %v", now, err)
	}
	testenv.Must(t, SetOOMScore(before))
	testenv.Must(t, unix.Mount("none", "/proc", "tmpfs", 0, ""))
	if _, err := OOMScore(); err == nil {
		t.Error("read without /proc")
	}
	if err := SetOOMScore("1"); err == nil {
		t.Error("set without /proc")
	}
}
