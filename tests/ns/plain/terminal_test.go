package plain

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"gatewayinit/internal/testenv"
)

// person is somebody at a terminal with a program in it.
type person struct {
	t    *testing.T
	keys *os.File // the person's end
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	seen strings.Builder
	done chan struct{}
}

// sit runs argv as the leader of a session on a new terminal; as PID 1 of a PID
// namespace, as docker run -it does, if pid1.
func sit(t *testing.T, pid1 bool, argv ...string) *person {
	t.Helper()
	testenv.Root(t)
	p := &person{t: t, cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	var err error
	p.keys, p.tty, err = pty.Open()
	testenv.Must(t, err)
	testenv.Must(t, pty.Setsize(p.keys, &pty.Winsize{Rows: 30, Cols: 100}))
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.tty, p.tty, p.tty
	p.cmd.Env = append(os.Environ(), "PS1=@ ", "TERM=dumb", "HISTFILE=/dev/null")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if pid1 {
		p.cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID
	}
	testenv.Must(t, p.cmd.Start())
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := p.keys.Read(buf) // EIO when nobody has the other end any more
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		p.tty.Close()
		p.keys.Close()
		if t.Failed() {
			t.Logf("on the terminal:\n%s", p.shown())
		}
	})
	return p
}

func (p *person) shown() string { p.mu.Lock(); defer p.mu.Unlock(); return p.seen.String() }

func (p *person) types(keys string) {
	p.t.Helper()
	_, err := p.keys.WriteString(keys)
	testenv.Must(p.t, err)
}

// reads waits until the terminal has shown text so many times.
func (p *person) reads(text string, times int) {
	p.t.Helper()
	testenv.Eventually(p.t, fmt.Sprintf("%q is shown %d times", text, times), func() bool { return strings.Count(p.shown(), text) >= times })
}

// prompted does the same for what a shell says of its jobs, before a prompt.
func (p *person) prompted(text string, times int) {
	p.t.Helper()
	testenv.Eventually(p.t, fmt.Sprintf("%q is said %d times", text, times), func() bool {
		p.types("\n")
		time.Sleep(10 * time.Millisecond) // not to flood it
		return strings.Count(p.shown(), text) >= times
	})
}

func (p *person) ended() int {
	p.t.Helper()
	testenv.Eventually(p.t, "it has ended", func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	return p.cmd.ProcessState.ExitCode()
}

// foreground is the terminal's foreground process group.
func (p *person) foreground() int {
	p.t.Helper()
	group, err := unix.IoctlGetInt(int(p.keys.Fd()), unix.TIOCGPGRP)
	testenv.Must(p.t, err)
	return group
}

var bash = []string{"bash", "--norc", "--noprofile", "-i"}

// TestShell: docker run -it IMAGE bash. The shell has job control, Ctrl-C ends
// its job and not the shell, Ctrl-Z and fg work, a resize arrives, and its exit
// code is ours.
func TestShell(t *testing.T) {
	for _, pid1 := range []bool{true, false} {
		p := sit(t, pid1, append([]string{binary(t), "-s", "--"}, bash...)...)
		p.reads("@ ", 1)
		if strings.Contains(p.shown(), "job control") {
			t.Error("the shell has no job control")
		}
		p.types("sleep 1000; echo after $?\n")
		p.reads("sleep 1000", 1)
		testenv.Eventually(t, "sleep has the terminal", func() bool { return strings.Contains(comm(p.foreground()), "sleep") })
		p.types("\x03")
		p.reads("@ ", 2)
		p.types("sleep 1000\n")
		testenv.Eventually(t, "sleep has the terminal again", func() bool { return strings.Contains(comm(p.foreground()), "sleep") })
		p.types("\x1a")
		p.reads("Stopped", 1)
		p.types("fg\n")
		testenv.Eventually(t, "sleep goes on", func() bool { return strings.Contains(comm(p.foreground()), "sleep") })
		p.types("\x03")
		p.reads("@ ", 4)
		p.types("trap 'echo size $(stty size)' WINCH\n")
		p.reads("@ ", 5)
		testenv.Must(t, pty.Setsize(p.keys, &pty.Winsize{Rows: 33, Cols: 111}))
		p.types("\n")
		p.reads("size 33 111", 1)
		p.types("exit 7\n")
		if code := p.ended(); code != 7 {
			t.Errorf("exit code %d", code)
		}
	}
}

func comm(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(data)
}

// TestCommandAtTerminal: Ctrl-C reaches a command without a shell once, Ctrl-Z
// cannot stop it for good where nobody could continue it.
func TestCommandAtTerminal(t *testing.T) {
	p := sit(t, true, binary(t), "--", "bash", "-c", `n=0; trap 'n=$((n+1)); echo int $n' INT; trap 'echo cont' CONT; echo ready; while :; do sleep 0.02; done`)
	p.reads("ready", 1)
	p.types("\x03")
	p.reads("int 1", 1)
	p.types("\x1a")
	p.reads("cont", 1)
	p.types("\x03")
	p.reads("int 2", 1)
	if strings.Contains(p.shown(), "int 3") {
		t.Error("a signal came twice")
	}
	// Who asks for it with a signal gets it.
	testenv.Must(t, p.cmd.Process.Signal(unix.SIGTSTP))
	testenv.Eventually(t, "it is stopped", func() bool {
		return testenv.Status(t, fmt.Sprintf("/proc/%d/status", p.foreground()))["State"] == "T (stopped)"
	})
	testenv.Must(t, p.cmd.Process.Signal(unix.SIGCONT))
	p.reads("cont", 2)
	testenv.Must(t, p.cmd.Process.Signal(unix.SIGKILL))
	p.ended()
}

// TestJob: under a shell we are a job as the command would be: Ctrl-Z stops it,
// the shell is back, fg and bg go on, Ctrl-C ends it; and the shell has its
// terminal again in the end.
func TestJob(t *testing.T) {
	p := sit(t, false, bash...)
	p.reads("@ ", 1)
	p.types(binary(t) + " -s -- bash -c 'trap \"echo int $((40+2)); exit 9\" INT; echo ready; while read line; do echo line $line; done'\n")
	p.reads("ready", 2) // typed and said
	p.types("one\n")
	p.reads("line one", 1)
	p.types("\x1a")
	p.reads("Stopped", 1)
	p.types("echo here $((1+1))\n")
	p.reads("here 2", 1)
	p.types("fg\n")
	p.types("two\n")
	p.reads("line two", 1)
	p.types("\x1a")
	p.reads("Stopped", 2)
	p.types("bg\n") // it reads, and is stopped again for that
	p.prompted("Stopped", 3)
	p.types("fg\n")
	p.types("three\n")
	p.reads("line three", 1)
	p.types("\x03")
	p.reads("int 42", 1)
	testenv.Eventually(t, "the shell has its terminal again", func() bool { return p.foreground() == p.cmd.Process.Pid })
	p.types("echo code $?\n")
	p.reads("code 9", 1)
	p.types("exit\n")
	p.ended()
}

// TestBackground: one that a shell starts with & does not take the terminal,
// and has it when the shell says fg.
func TestBackground(t *testing.T) {
	p := sit(t, false, bash...)
	p.reads("@ ", 1)
	p.types(binary(t) + " -s -- sh -c 'echo up; exec sleep 1000' &\n")
	p.reads("up", 2)
	p.types("echo mine $((3+3))\n")
	p.reads("mine 6", 1)
	p.types("kill %1; wait %1; echo code $?\n")
	p.reads("code 143", 1)
	p.types(binary(t) + " -s -- sh -c 'echo reading; read line; echo line $line; exit 8' &\n")
	p.prompted("Stopped", 1)
	p.types("fg\n")
	p.types("four\n")
	p.reads("line four", 1)
	p.types("echo code $?\n")
	p.reads("code 8", 1)
	// fg of one that runs: the shell sends no SIGCONT with it.
	p.types(binary(t) + " -s -- sh -c 'sleep 0.3; echo late; read line; echo line $line; exit 6' &\n")
	p.types("fg\n")
	p.reads("late", 2)
	p.types("five\n")
	p.reads("line five", 1)
	p.types("echo code $?\n")
	p.reads("code 6", 1)
	p.types("exit\n")
	p.ended()
}

// TestHangup: when the terminal goes the command is told.
func TestHangup(t *testing.T) {
	out := t.TempDir() + "/out"
	p := sit(t, true, binary(t), "--", "bash", "-c", "trap 'echo hup >"+out+"; exit' HUP; echo ready; while :; do sleep 0.02; done")
	p.reads("ready", 1)
	testenv.Must(t, unix.IoctlSetInt(int(p.tty.Fd()), unix.TIOCVHANGUP, 0))
	p.ended()
	if data, err := os.ReadFile(out); err != nil || string(data) != "hup\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestNoTerminal: a terminal that is not our controlling one is only a file.
func TestNoTerminal(t *testing.T) {
	keys, tty, err := pty.Open()
	testenv.Must(t, err)
	defer keys.Close()
	defer tty.Close()
	if out, code := output(t, how{stdin: tty, sys: func(a *syscall.SysProcAttr) { a.Setsid = true }}, "sh", "-c", "test -t 0 && echo terminal; exit 3"); code != 3 || out != "terminal\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
}
