// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestExitCodes(t *testing.T) {
	if !mountHome(t) {
		return
	}
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -9 $$": 137, "kill -TERM $$": 143, "kill -SEGV $$": 139} {
		if code, out, stderr := output(t, shell(script)); code != want || out+stderr != "" {
			t.Errorf("%s: code %d, %q %q", script, code, out, stderr)
		}
	}
}

// started is a running driver with pipes to it.
type started struct {
	*exec.Cmd
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	raw io.Closer // of out
	err strings.Builder
}

func start(t *testing.T, o order) *started {
	t.Helper()
	s := &started{Cmd: driver(t, o), t: t}
	var err error
	s.in, err = s.StdinPipe()
	testenv.Must(t, err)
	out, err := s.StdoutPipe()
	testenv.Must(t, err)
	s.out, s.raw, s.Stderr = bufio.NewReader(out), out, &s.err
	testenv.Must(t, s.Start())
	t.Cleanup(func() { s.Process.Kill(); s.Wait() })
	return s
}

// line returns the next line of output.
func (s *started) line() string {
	s.t.Helper()
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Fatalf("after %q: %v; stderr %q", line, err, s.err.String())
	}
	return strings.TrimSuffix(line, "\n")
}

// pid returns the next line of output, which is a number.
func (s *started) pid() int {
	s.t.Helper()
	pid, err := strconv.Atoi(s.line())
	testenv.Must(s.t, err)
	return pid
}

// code waits for the end and returns the exit code.
func (s *started) code() int {
	s.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); s.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		s.t.Fatal("it does not end")
	}
	return s.ProcessState.ExitCode()
}

// hasEnded reports whether a process has ended.
func hasEnded(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || strings.Contains(string(status), "\nState:\tZ")
}

func endsSoon(t *testing.T, what string, pid int) {
	t.Helper()
	testenv.Eventually(t, what+" to end", func() bool { return hasEnded(pid) })
}

// TestInput checks that input arrives, and that its end is the client's end of file.
func TestInput(t *testing.T) {
	if !mountHome(t) {
		return
	}
	s := start(t, shell("cat; echo end"))
	for _, line := range []string{"one", "two"} {
		fmt.Fprintln(s.in, line)
		if got := s.line(); got != line {
			t.Errorf("got %q", got)
		}
	}
	s.in.Close()
	if got := s.line(); got != "end" || s.code() != 0 {
		t.Errorf("got %q, code %d", got, s.ProcessState.ExitCode())
	}
	// Input that the client does not read keeps no process.
	s = start(t, shell("exec <&-; echo closed; exit 3"))
	go io.Copy(s.in, strings.NewReader(strings.Repeat("x", 1<<20)))
	if s.line() != "closed" || s.code() != 3 {
		t.Errorf("code %d", s.ProcessState.ExitCode())
	}
	// A client without our stdin reads an end of file at once.
	mute := shell("cat; echo end")
	mute.Mute = true
	if s = start(t, mute); s.line() != "end" || s.code() != 0 {
		t.Errorf("code %d", s.ProcessState.ExitCode())
	}
}

// TestOutputIsWhole checks that a slow reader gets all output, also the output that
// was written right before the end.
func TestOutputIsWhole(t *testing.T) {
	if !mountHome(t) {
		return
	}
	const size = 1 << 20
	s := start(t, shell(fmt.Sprintf("head -c %d /dev/zero; echo last >&2; exit 5", size)))
	buf, total := make([]byte, 4096), 0
	for {
		n, err := s.out.Read(buf)
		if total += n; err != nil {
			break
		}
		if total%(256<<10) < n {
			time.Sleep(time.Millisecond) // the test needs a slow reader
		}
	}
	if code := s.code(); total != size || code != 5 || s.err.String() != "last\n" {
		t.Errorf("%d of %d bytes, code %d, stderr %q", total, size, code, s.err.String())
	}
}

// TestReaderGone checks that the client gets the same error as if it wrote there itself.
func TestReaderGone(t *testing.T) {
	if !mountHome(t) {
		return
	}
	s := start(t, order{Argv: []string{"yes"}, Home: "/mnt/home"})
	if s.line() != "y" {
		t.Error("no output")
	}
	testenv.Must(t, s.raw.Close())
	if code := s.code(); code != 128+int(syscall.SIGPIPE) {
		t.Errorf("code %d", code)
	}
}

// TestSignals checks that each signal reaches the client and its foreground job.
func TestSignals(t *testing.T) {
	if !mountHome(t) {
		return
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP} {
		s := start(t, shell(`trap 'echo got; exit 4' INT QUIT TERM HUP; echo ready; while :; do read x <&3; done 3<&0`))
		if s.line() != "ready" {
			t.Fatal("not ready")
		}
		testenv.Must(t, s.Process.Signal(sig))
		if got := s.line(); got != "got" || s.code() != 4 {
			t.Errorf("%v: %q, code %d", sig, got, s.ProcessState.ExitCode())
		}
		s = start(t, shell(`sleep 1000; echo over; exit $?`))
		testenv.Eventually(t, "a sleep", func() bool { return hasDescendant(s.Process.Pid, "sleep") })
		testenv.Must(t, s.Process.Signal(sig))
		if code := s.code(); code != 128+int(sig) {
			t.Errorf("%v: code %d", sig, code)
		}
	}
}

// TestStopKey checks that SIGTSTP does not stop the relay, which would then receive
// nothing. (The kernel ignores SIGTSTP for a session leader, which this driver is not.)
func TestStopKey(t *testing.T) {
	if !mountHome(t) {
		return
	}
	s := start(t, shell(`echo $$; exec sleep 1000`))
	pid := s.pid()
	testenv.Must(t, s.Process.Signal(syscall.SIGTSTP))
	testenv.Must(t, syscall.Kill(pid, syscall.SIGKILL))
	if code := s.code(); code != 137 {
		t.Errorf("code %d", code)
	}
}

// hasDescendant reports whether a process of that name is a descendant of pid. (A
// dash that gets a signal while it forks loses it.)
func hasDescendant(pid int, name string) bool {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(data)) {
			comm, _ := os.ReadFile("/proc/" + child + "/comm")
			number, _ := strconv.Atoi(child)
			if string(comm) == name+"\n" || hasDescendant(number, name) {
				return true
			}
		}
	}
	return false
}

// TestStubborn checks that a client that ignores the request to end is killed, and
// that a stopped client continues, so that it gets the signal.
func TestStubborn(t *testing.T) {
	if !mountHome(t) {
		return
	}
	o := shell(`trap '' TERM HUP INT QUIT; echo $$; while :; do sleep 1000; done`)
	o.Grace = 50 * time.Millisecond
	s := start(t, o)
	pid := s.pid()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		testenv.Must(t, s.Process.Signal(sig))
	}
	if code := s.code(); code != 137 || !hasEnded(pid) {
		t.Errorf("code %d", code)
	}
	s = start(t, shell(`echo $$; kill -STOP $$`))
	pid = s.pid()
	testenv.Eventually(t, "it is stopped", func() bool {
		return strings.HasPrefix(testenv.Status(t, fmt.Sprintf("/proc/%d/status", pid))["State"], "T")
	})
	testenv.Must(t, s.Process.Signal(syscall.SIGTERM))
	if code := s.code(); code != 143 {
		t.Errorf("stopped: code %d", code)
	}
}

// TestLeftovers checks that no process of a client outlives it, not even in another
// session, and that none keeps the relay alive.
func TestLeftovers(t *testing.T) {
	if !mountHome(t) {
		return
	}
	s := start(t, shell(`setsid sh -c 'trap "" HUP TERM; echo $$; setsid sleep 1000 & echo $!; wait' & sleep 1000 & echo $!; read x; exit 6`))
	pids := []int{s.pid(), s.pid(), s.pid()}
	for _, pid := range pids {
		if hasEnded(pid) {
			t.Fatalf("%d is not there", pid)
		}
	}
	s.in.Close()
	if code := s.code(); code != 6 {
		t.Errorf("code %d", code)
	}
	for _, pid := range pids {
		if !hasEnded(pid) {
			t.Errorf("%d lives", pid)
		}
	}
}

// TestParentDeath checks that the client dies with a killed relay, also if the
// forking thread is not the first.
func TestParentDeath(t *testing.T) {
	if !mountHome(t) {
		return
	}
	for _, tty := range []bool{false, true} {
		o := shell(`trap '' HUP TERM; echo $$; while :; do sleep 1000; done`)
		o.TTY = tty
		var pid int
		var process *os.Process
		if tty {
			p := onTerminal(t, o)
			pid, process = p.pid(t), p.cmd.Process
		} else {
			s := start(t, o)
			pid, process = s.pid(), s.Process
		}
		testenv.Must(t, process.Signal(syscall.SIGKILL))
		endsSoon(t, fmt.Sprintf("the client (terminal: %v)", tty), pid)
	}
}
