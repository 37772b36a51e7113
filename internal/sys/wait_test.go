// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// start starts a shell that nothing else reaps.
func start(t *testing.T, script string) int {
	t.Helper()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}})
	testenv.Must(t, err)
	return p.Pid
}

// ended waits until a child has ended, and returns its pid.
func ended(t *testing.T) (pid int) {
	t.Helper()
	testenv.Eventually(t, "a child has ended", func() bool {
		var err error
		pid, err = Peek()
		testenv.Must(t, err)
		return pid != 0
	})
	return pid
}

// TestPeekAndReap checks that between the two the pid is still the child's, so that a
// signal cannot reach another process.
func TestPeekAndReap(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	if pid, err := Peek(); pid != 0 || err != nil {
		t.Errorf("no child: %d %v", pid, err)
	}
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -9 $$": 137, "kill -15 $$": 143} {
		pid := start(t, script)
		if got := ended(t); got != pid {
			t.Fatalf("%s: peeked %d, want %d", script, got, pid)
		}
		if got, err := Peek(); got != pid || err != nil {
			t.Errorf("%s: peeked %d %v the second time", script, got, err)
		}
		if err := Kill(pid, 0); err != nil {
			t.Errorf("%s: its pid is free already: %v", script, err)
		}
		e, err := Reap(pid)
		if err != nil || e.PID != pid || e.Code() != want || e.Status.Signaled() != (want > 128 && want < 255) {
			t.Errorf("%s: got %+v code %d, %v, want %d", script, e, e.Code(), err, want)
		}
		if _, err := Reap(pid); !errors.Is(err, unix.ECHILD) {
			t.Errorf("%s: reaped twice: %v", script, err)
		}
	}
	running := exec.Command("sleep", "1000")
	testenv.Must(t, running.Start())
	defer running.Wait()
	defer running.Process.Kill()
	if pid, err := Peek(); pid != 0 || err != nil {
		t.Errorf("one that runs: %d %v", pid, err)
	}
	testenv.Must(t, running.Process.Signal(unix.SIGSTOP)) // stopped is not ended
	testenv.Eventually(t, "stopped", func() bool { return state(t, running.Process.Pid) == "T" })
	if pid, err := Peek(); pid != 0 || err != nil {
		t.Errorf("one that is stopped: %d %v", pid, err)
	}
	testenv.Refuse(t, unix.EPERM, unix.SYS_WAITID)
	if pid, err := Peek(); pid != 0 || !errors.Is(err, unix.EPERM) {
		t.Errorf("refused: %d %v", pid, err)
	}
}

// TestOrphans checks that a subreaper is handed the orphans of its children.
func TestOrphans(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Must(t, SetSubreaper())
	parent := start(t, "(sh -c 'exit 5' & ) ; exit 6")
	codes := map[int]bool{}
	orphans := 0
	for range 3 { // the shell and the grandchild, and maybe the subshell, if the shell does not reap it
		if len(codes) == 2 {
			break
		}
		pid := ended(t)
		e, err := Reap(pid)
		testenv.Must(t, err)
		codes[e.Code()] = true
		if pid != parent {
			orphans++
		}
	}
	if !codes[5] || !codes[6] || orphans != 1 {
		t.Errorf("reaped %v, %d orphans", codes, orphans)
	}
}
