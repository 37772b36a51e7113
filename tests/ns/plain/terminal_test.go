// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// person is a user at a terminal.
type person struct {
	*harness.Terminal
	t *testing.T
}

// sit runs argv on a new terminal. If pid1, it runs as PID 1 of a PID namespace, as
// with docker run -it.
func sit(t *testing.T, pid1 bool, argv ...string) person {
	t.Helper()
	testenv.Root(t)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "PS1=@ ", "TERM=dumb", "HISTFILE=/dev/null")
	if pid1 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	}
	return person{harness.OpenTerminalWith(t, pty.Winsize{Rows: 30, Cols: 100}, cmd), t}
}

// reads waits until the terminal has shown text the given number of times.
func (p person) reads(text string, times int) {
	p.t.Helper()
	p.WaitFor(text, times, testenv.Patience)
}

// prompted does the same for a shell's job messages, which come before a prompt.
func (p person) prompted(text string, times int) {
	p.t.Helper()
	testenv.Eventually(p.t, fmt.Sprintf("%q is said %d times", text, times), func() bool {
		p.Type("\n")
		time.Sleep(10 * time.Millisecond) // at a moderate rate
		return strings.Count(p.Shown(), text) >= times
	})
}

// has waits until the terminal's foreground process has comm in its name.
func (p person) has(comm string) {
	p.t.Helper()
	testenv.Eventually(p.t, comm+" has the terminal", func() bool {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.Foreground()))
		return strings.Contains(string(data), comm)
	})
}

func (p person) ended() int {
	p.t.Helper()
	return p.Code(testenv.Patience)
}

var bash = []string{"bash", "--norc", "--noprofile", "-i"}

// TestShell covers docker run -it IMAGE bash. The shell has job control. Ctrl-C
// ends its job and not the shell, Ctrl-Z and fg work, a resize arrives, and we exit
// with its code.
func TestShell(t *testing.T) {
	for _, pid1 := range []bool{true, false} {
		p := sit(t, pid1, append([]string{binary(t), "-s", "--"}, bash...)...)
		p.reads("@ ", 1)
		if strings.Contains(p.Shown(), "job control") {
			t.Error("the shell has no job control")
		}
		p.Type("sleep 1000; echo after $?\n")
		p.reads("sleep 1000", 1)
		p.has("sleep")
		p.Type("\x03")
		p.reads("@ ", 2)
		p.Type("sleep 1000\n")
		p.has("sleep")
		p.Type("\x1a")
		p.reads("Stopped", 1)
		p.Type("fg\n")
		p.has("sleep")
		p.Type("\x03")
		p.reads("@ ", 4)
		p.Type("trap 'echo size $(stty size)' WINCH\n")
		p.reads("@ ", 5)
		p.Resize(pty.Winsize{Rows: 33, Cols: 111})
		p.Type("\n")
		p.reads("size 33 111", 1)
		p.Type("exit 7\n")
		if code := p.ended(); code != 7 {
			t.Errorf("exit code %d", code)
		}
	}
}

// TestCommandAtTerminal checks that Ctrl-C reaches a command without a shell once.
// Ctrl-Z cannot stop it forever if no process could continue it.
func TestCommandAtTerminal(t *testing.T) {
	p := sit(t, true, binary(t), "--", "bash", "-c", `n=0; trap 'n=$((n+1)); echo int $n' INT; trap 'echo cont' CONT; echo ready; while :; do sleep 0.02; done`)
	p.reads("ready", 1)
	p.Type("\x03")
	p.reads("int 1", 1)
	p.Type("\x1a")
	p.reads("cont", 1)
	p.Type("\x03")
	p.reads("int 2", 1)
	if strings.Contains(p.Shown(), "int 3") {
		t.Error("a signal came twice")
	}
	// A SIGTSTP that is sent does stop it.
	p.Signal(unix.SIGTSTP)
	testenv.Eventually(t, "it is stopped", func() bool {
		return testenv.Status(t, fmt.Sprintf("/proc/%d/status", p.Foreground()))["State"] == "T (stopped)"
	})
	p.Signal(unix.SIGCONT)
	p.reads("cont", 2)
	p.Signal(unix.SIGKILL)
	p.ended()
}

// TestJob checks that under a shell we are a job as the command would be. Ctrl-Z
// stops us and returns to the shell, fg and bg continue us, Ctrl-C ends us. At the
// end the shell has its terminal again.
func TestJob(t *testing.T) {
	p := sit(t, false, bash...)
	p.reads("@ ", 1)
	p.Type(binary(t) + " -s -- bash -c 'trap \"echo int $((40+2)); exit 9\" INT; echo ready; while read line; do echo line $line; done'\n")
	p.reads("ready", 2) // typed and printed
	p.Type("one\n")
	p.reads("line one", 1)
	p.Type("\x1a")
	p.reads("Stopped", 1)
	p.Type("echo here $((1+1))\n")
	p.reads("here 2", 1)
	p.Type("fg\n")
	p.Type("two\n")
	p.reads("line two", 1)
	p.Type("\x1a")
	p.reads("Stopped", 2)
	p.Type("bg\n") // it reads, and so is stopped again
	p.prompted("Stopped", 3)
	p.Type("fg\n")
	p.Type("three\n")
	p.reads("line three", 1)
	p.Type("\x03")
	p.reads("int 42", 1)
	testenv.Eventually(t, "the shell has its terminal again", func() bool { return p.Foreground() == p.PID() })
	p.Type("echo code $?\n")
	p.reads("code 9", 1)
	p.Type("exit\n")
	p.ended()
}

// TestBackground checks that a job that a shell starts with & does not take the
// terminal. It gets the terminal by fg.
func TestBackground(t *testing.T) {
	p := sit(t, false, bash...)
	p.reads("@ ", 1)
	p.Type(binary(t) + " -s -- sh -c 'echo up; exec sleep 1000' &\n")
	p.reads("up", 2)
	p.Type("echo mine $((3+3))\n")
	p.reads("mine 6", 1)
	p.Type("kill %1; wait %1; echo code $?\n")
	p.reads("code 143", 1)
	p.Type(binary(t) + " -s -- sh -c 'echo reading; read line; echo line $line; exit 8' &\n")
	p.prompted("Stopped", 1)
	p.Type("fg\n")
	p.Type("four\n")
	p.reads("line four", 1)
	p.Type("echo code $?\n")
	p.reads("code 8", 1)
	// At fg of a running job, the shell sends no SIGCONT.
	p.Type(binary(t) + " -s -- sh -c 'sleep 0.3; echo late; read line; echo line $line; exit 6' &\n")
	p.Type("fg\n")
	p.reads("late", 2)
	p.Type("five\n")
	p.reads("line five", 1)
	p.Type("echo code $?\n")
	p.reads("code 6", 1)
	p.Type("exit\n")
	p.ended()
}

// TestCtrlZBelowAnotherInit checks docker run --init -it. That init gave us the terminal,
// as a shell does, and would never continue us.
func TestCtrlZBelowAnotherInit(t *testing.T) {
	testenv.Root(t)
	self, err := os.Executable()
	testenv.Must(t, err)
	cmd := exec.Command(self, binary(t), "-s", "--", "bash", "-c", `trap 'echo cont' CONT; trap 'echo int; exit 5' INT; echo ready; while :; do sleep 0.02; done`)
	cmd.Env = append(os.Environ(), "PLAIN_TEST=tini")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	p := person{harness.OpenTerminalWith(t, pty.Winsize{Rows: 30, Cols: 100}, cmd), t}
	p.reads("ready", 1)
	p.Type("\x1a")
	p.reads("cont", 1)
	p.Type("\x03")
	p.reads("int", 1)
	if code := p.ended(); code != 5 {
		t.Errorf("exit code %d", code)
	}
}

// TestUserCanOpenStdioAgain checks that a user of --user can open /dev/stdout, as a pipe and
// as a terminal. It was root's. A file with a name keeps its owner.
func TestUserCanOpenStdioAgain(t *testing.T) {
	const script = `echo out >/proc/self/fd/1; echo err >/proc/self/fd/2`
	r := start(t, how{}, "--user", "1234:1234", "--", "sh", "-c", script)
	if code := r.ended(); code != 0 || r.stdout() != "out\n" || r.stderr() != "err\n" {
		t.Errorf("pipe: exit code %d, %q, %q", code, r.stdout(), r.stderr())
	}
	p := sit(t, true, binary(t), "--user", "1234:1234", "--", "sh", "-c", script)
	p.reads("out", 1)
	p.reads("err", 1)
	if code := p.ended(); code != 0 {
		t.Errorf("terminal: exit code %d", code)
	}
	file := t.TempDir() + "/log"
	start(t, how{before: []string{"sh", "-c", `exec "$0" "$@" >` + file}}, "--user", "1234:1234", "--", "true").ended()
	info, err := os.Stat(file)
	testenv.Must(t, err)
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		t.Errorf("the log file belongs to uid %d now", uid)
	}
}

// TestHangup checks that the command gets SIGHUP when the terminal goes.
func TestHangup(t *testing.T) {
	// Under nohup(1) the tests ignore SIGHUP. bash would inherit that, and it
	// cannot trap a signal that was ignored at its start. An exec resets a handler
	// to the default.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, unix.SIGHUP)
	defer signal.Stop(hup)
	out := t.TempDir() + "/out"
	p := sit(t, true, binary(t), "--", "bash", "-c", "trap 'echo hup >"+out+"; exit' HUP; echo ready; while :; do sleep 0.02; done")
	p.reads("ready", 1)
	p.Hangup()
	p.ended()
	if data, err := os.ReadFile(out); err != nil || string(data) != "hup\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestNoTerminal uses a terminal that is not our controlling terminal as a plain
// file.
func TestNoTerminal(t *testing.T) {
	keys, tty, err := pty.Open()
	testenv.Must(t, err)
	defer keys.Close()
	defer tty.Close()
	if out, code := output(t, how{stdin: tty, sys: func(a *syscall.SysProcAttr) { a.Setsid = true }}, "sh", "-c", "test -t 0 && echo terminal; exit 3"); code != 3 || out != "terminal\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
}
