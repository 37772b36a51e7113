// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/init/plain/forward"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestWait checks that Wait reaps, and reports a stop once.
func TestWait(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	if _, err := Wait(false); !errors.Is(err, unix.ECHILD) {
		t.Errorf("no child: %v", err)
	}
	for script, want := range map[string]int{"exit 0": 0, "exit 255": 255, "kill -KILL $$": 137, "kill -SEGV $$": 139} {
		pid := start(t, script)
		if e, err := Wait(true); err != nil || e != (Event{PID: pid, Code: want}) {
			t.Errorf("%s: %+v, %v", script, e, err)
		}
		if err := Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s: not reaped: %v", script, err)
		}
	}
	pid := start(t, "kill -STOP $$; exit 7")
	if e, err := Wait(true); err != nil || e != (Event{PID: pid, Stop: unix.SIGSTOP}) {
		t.Errorf("stopped: %+v, %v", e, err)
	}
	testenv.Must(t, Kill(pid, unix.SIGCONT))
	if e, err := Wait(true); err != nil || e != (Event{PID: pid, Code: 7}) {
		t.Errorf("continued: %+v, %v", e, err)
	}
	pid = start(t, "kill -STOP $$")
	testenv.Eventually(t, "stopped", func() bool { return state(t, pid) == "T" })
	testenv.Must(t, Kill(pid, unix.SIGKILL))
	if e, err := Wait(false); err != nil || e != (Event{PID: pid, Code: 137}) { // stops are not asked for
		t.Errorf("killed: %+v, %v", e, err)
	}
}

// TestInterruptAfter checks that a wait is interrupted on time, again and again. A
// stop is no end, so without the timer the wait would last forever.
func TestInterruptAfter(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	runtime.LockOSThread()
	sleeper := exec.Command("sleep", "1000")
	testenv.Must(t, sleeper.Start())
	defer sleeper.Wait()
	defer sleeper.Process.Kill()
	forward.Take(func(int) uint8 { return 0 }, func(sig int) bool { return sig != int(unix.SIGUSR2) })
	begun := time.Now()
	testenv.Must(t, InterruptAfter(50*time.Millisecond, 5*time.Millisecond, unix.SIGUSR2))
	for range 3 {
		if _, err := Wait(false); !errors.Is(err, unix.EINTR) {
			t.Errorf("got %v", err)
		}
	}
	if since := time.Since(begun); since < 50*time.Millisecond {
		t.Errorf("it came after %v", since)
	}
	if err := InterruptAfter(time.Second, time.Second, unix.Signal(99)); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no such signal: %v", err)
	}
}

// TestSubreaperBit checks that the setting is read.
func TestSubreaperBit(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	if Subreaper() {
		t.Error("a subreaper already")
	}
	testenv.Must(t, SetSubreaper())
	if !Subreaper() {
		t.Error("not a subreaper")
	}
	testenv.Must(t, SetParentDeath(unix.SIGKILL))
	if err := SetParentDeath(unix.Signal(99)); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v", err)
	}
}

// TestForegroundOf checks that a terminal's foreground is ours, then another group's,
// then ours again although we are in the background.
func TestForegroundOf(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	runtime.LockOSThread()
	signal.Ignore(unix.SIGHUP) // the terminal's end sends it
	_, slave := openPTY(t)
	fd := int(slave.Fd())
	if IsControlling(fd) || Foreground(fd) {
		t.Error("ours before it is")
	}
	_, err := unix.Setsid()
	testenv.Must(t, err)
	testenv.Must(t, unix.IoctlSetInt(fd, unix.TIOCSCTTY, 0))
	if !IsControlling(fd) || !Foreground(fd) || !LeadsSession() {
		t.Error("not ours")
	}
	other := exec.Command("sleep", "1000")
	other.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	testenv.Must(t, other.Start())
	defer other.Wait()
	defer other.Process.Kill()
	testenv.Must(t, GiveForeground(fd, other.Process.Pid))
	if !IsControlling(fd) || Foreground(fd) {
		t.Error("still in the foreground")
	}
	if err := GiveForeground(fd, os.Getpid()+1<<20); err == nil {
		t.Error("a group that does not exist")
	}
	testenv.Must(t, TakeForeground(fd))
	if !Foreground(fd) {
		t.Error("not back in the foreground")
	}
}

// TestWriteQuietly checks that a write without a reader leaves no signal.
func TestWriteQuietly(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	WriteQuietly(int(w.Fd()), []byte("text"))
	buf := make([]byte, 8)
	if n, err := r.Read(buf); err != nil || string(buf[:n]) != "text" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	testenv.Must(t, r.Close())
	forward.Take(func(int) uint8 { return 0 }, func(sig int) bool { return sig != int(unix.SIGPIPE) })
	WriteQuietly(int(w.Fd()), []byte("text"))
	WriteQuietly(-1, []byte("text"))
	if seen := forward.Seen(); seen != 0 {
		t.Errorf("signals %x came", seen)
	}
	if _, err := unix.Write(int(w.Fd()), []byte("text")); !errors.Is(err, unix.EPIPE) || forward.Seen() == 0 {
		t.Errorf("a loud write: %v, and no SIGPIPE", err)
	}
}
