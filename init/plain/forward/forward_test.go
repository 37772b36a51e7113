// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"bufio"
	"context"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestMain makes this binary a program that others send signals to: it takes
// its own away from Go's runtime, which a test could not do to itself.
func TestMain(m *testing.M) {
	same := func(sig int) uint8 { return uint8(sig) }
	keep := func(sig int) bool { return sig == int(unix.SIGKILL) || sig == int(unix.SIGSTOP) }
	switch os.Getenv("FORWARD_TEST") {
	case "fault": // our own, not a signal that somebody sent
		Take(same, keep)
		var nothing *int
		fmt.Println(*nothing)
	case "end", "end-later": // as the runtime does when it ends a program by a signal
		Take(same, keep)
		if os.Getenv("FORWARD_TEST") == "end-later" {
			target := exec.Command("sleep", "1000")
			target.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
			must(target.Start())
			To(target.Process.Pid, os.Getenv("FORWARD_GROUP") != "")
		}
		runtime.LockOSThread()
		must(unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGTERM))
		os.Exit(0)
	case "preempt": // as the runtime does when a goroutine runs for long
		Take(same, keep)
		runtime.LockOSThread()
		must(unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGURG), unix.Kill(os.Getpid(), unix.SIGWINCH))
		wait(unix.SIGWINCH)
		fmt.Println("own", held>>(unix.SIGURG-1)&1)
		must(unix.Kill(os.Getpid(), unix.SIGURG))
		wait(unix.SIGURG)
		fmt.Println("sent", held>>(unix.SIGURG-1)&1)
		os.Exit(0)
	case "hold":
		// What comes before To is not lost, what is rewritten to 0 is, and after
		// Hold it is held again. The target is a shell that counts.
		target := exec.Command("bash", "-c", `trap "echo usr1" USR1; trap "echo usr2" USR2; echo ready; while :; do sleep 0.01; done`)
		target.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := target.StdoutPipe()
		must(err, target.Start())
		lines := bufio.NewReader(out)
		next := func() string { line, _ := lines.ReadString('\n'); return line }
		next()
		Take(func(sig int) uint8 {
			if sig == int(unix.SIGWINCH) {
				return 0
			}
			return uint8(sig)
		}, keep)
		self := os.Getpid()
		must(unix.Kill(self, unix.SIGUSR1), unix.Kill(self, unix.SIGWINCH))
		wait(unix.SIGUSR1, unix.SIGWINCH)
		To(target.Process.Pid, os.Getenv("FORWARD_GROUP") != "")
		fmt.Print("held ", next())
		must(unix.Kill(self, unix.SIGUSR2))
		fmt.Print("at once ", next())
		Hold()
		must(unix.Kill(self, unix.SIGUSR1))
		wait(unix.SIGUSR2, unix.SIGUSR1)
		To(target.Process.Pid, os.Getenv("FORWARD_GROUP") != "")
		fmt.Print("held again ", next())
		must(unix.Kill(target.Process.Pid, unix.SIGKILL))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func must(errs ...error) {
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
}

// wait waits until the signals have been seen.
func wait(sigs ...unix.Signal) {
	var want, got uint64
	for _, sig := range sigs {
		want |= 1 << (sig - 1)
	}
	for end := time.Now().Add(20 * time.Second); got&want != want && time.Now().Before(end); time.Sleep(time.Millisecond) {
		got |= Seen()
	}
	if bits.OnesCount64(want&^got) != 0 {
		panic("not seen")
	}
}

func child(t *testing.T, mode string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	testenv.Must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), "FORWARD_TEST="+mode)
	return cmd
}

func TestHold(t *testing.T) {
	for _, group := range []string{"", "yes"} {
		cmd := child(t, "hold")
		cmd.Env = append(cmd.Env, "FORWARD_GROUP="+group)
		out, err := cmd.CombinedOutput()
		if want := "held usr1\nat once usr2\nheld again usr1\n"; err != nil || string(out) != want {
			t.Errorf("group %q: %q, %v", group, out, err)
		}
	}
}

// TestEnd: one that the runtime was about to end us by is not held.
func TestEnd(t *testing.T) {
	for _, mode := range []string{"end", "end-later"} {
		cmd := child(t, mode)
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != 143 {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestPreempt: a SIGURG of Go's runtime is dropped, and one that a process
// sends with kill(2) is a signal like any other.
func TestPreempt(t *testing.T) {
	out, err := child(t, "preempt").CombinedOutput()
	if want := "own 0\nsent 1\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v", out, err)
	}
}

// TestFault: a fault of our own ends us by its signal; it is not a signal that
// somebody sent, and the handler does not return into it for ever.
func TestFault(t *testing.T) {
	out, err := child(t, "fault").CombinedOutput()
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGSEGV || strings.Contains(string(out), "goroutine") {
		t.Errorf("%v: %s", err, out)
	}
}
