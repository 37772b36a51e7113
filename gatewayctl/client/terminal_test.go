// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// person is a user at a terminal where a driver runs.
type person struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	slave  *os.File // kept open, as a shell would
	before unix.Termios

	mu   sync.Mutex
	text strings.Builder
}

func onTerminal(t *testing.T, o order) *person {
	t.Helper()
	o.TTY = true
	p := &person{t: t, cmd: driver(t, o)}
	master, slave, err := pty.Open()
	testenv.Must(t, err)
	defer master.Close()
	testenv.Must(t, pty.Setsize(master, &pty.Winsize{Rows: 33, Cols: 111}))
	p.slave = slave
	p.master, err = sys.NonBlocking(master) // so that Close ends a Read
	testenv.Must(t, err)
	p.before = termios(t, p.slave)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.slave, p.slave, p.slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	testenv.Must(t, p.cmd.Start())
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := p.master.Read(buf)
			p.mu.Lock()
			p.text.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.slave.Close()
		p.master.Close()
		if t.Failed() {
			t.Logf("terminal: %q", p.shown())
		}
	})
	return p
}

func termios(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	got, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	testenv.Must(t, err)
	return *got
}

func (p *person) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *person) sees(text string) {
	p.t.Helper()
	testenv.Eventually(p.t, fmt.Sprintf("%q on the terminal", text), func() bool { return strings.Contains(p.shown(), text) })
}

func (p *person) types(keys string) {
	p.t.Helper()
	_, err := io.WriteString(p.master, keys)
	testenv.Must(p.t, err)
}

// pid returns the first line that is a number.
func (p *person) pid(t *testing.T) (pid int) {
	t.Helper()
	testenv.Eventually(t, "a pid", func() bool {
		m := regexp.MustCompile(`(?m)^(\d+)\r$`).FindStringSubmatch(p.shown())
		if m != nil {
			pid, _ = strconv.Atoi(m[1])
		}
		return m != nil
	})
	return pid
}

// ends waits for the driver's end. The terminal must be as it was before.
func (p *person) ends(code int) {
	p.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); p.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		p.t.Fatal("it does not end")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("code %d, want %d", got, code)
	}
	if after := termios(p.t, p.slave); after != p.before {
		p.t.Errorf("the terminal was %+v and is %+v", p.before, after)
	}
}

// TestTerminal checks that the client has its own terminal, of the caller's size,
// and no descriptor of the caller.
func TestTerminal(t *testing.T) {
	if !mountHome(t) {
		return
	}
	p := onTerminal(t, shell(`stty size; tty; for i in 0 1 2; do readlink /proc/$$/fd/$i; done | uniq
		stat -c 'owner %u mode %a' $(tty); [ "$(cut -d' ' -f8 /proc/$$/stat)" = $$ ] && echo foreground
		ls /proc/self/fd | xargs; grep flags /proc/$$/fdinfo/0
		trap 'stty size; echo resized' WINCH; echo ready; while :; do read x; [ "$x" = exit ] && exit 9; echo "read $x"; done`))
	p.sees("ready")
	for _, want := range []string{"33 111\r\n", fmt.Sprintf("owner %d mode 600\r\n", op), "foreground\r\n", "\n0 1 2 3\r\n", "flags:\t0100002\r\n"} {
		if !strings.Contains(p.shown(), want) {
			t.Errorf("no %q", want)
		}
	}
	own := regexp.MustCompile(`/dev/pts/\d+`).FindAllString(p.shown(), -1)
	if len(own) != 2 || own[0] != own[1] || own[0] == p.slave.Name() {
		t.Errorf("terminals %q, the caller's is %s", own, p.slave.Name())
	}
	if termios(t, p.slave) == p.before {
		t.Error("the caller's terminal is not raw")
	}
	p.types("hello\r")
	p.sees("read hello\r\n")
	testenv.Must(t, pty.Setsize(p.slave, &pty.Winsize{Rows: 50, Cols: 132}))
	p.sees("50 132\r\nresized")
	p.types("exit\r")
	p.ends(9)
}

// TestKeys checks that only the inner terminal interprets keys.
func TestKeys(t *testing.T) {
	if !mountHome(t) {
		return
	}
	trap := `trap 'echo interrupted' INT; trap 'echo quit' QUIT; trap 'echo over; exit 3' TERM; echo ready; while :; do read x && echo "line $x" || sleep 0.01; done`
	for name, c := range map[string]struct {
		script, keys, sees string
		code               int
	}{
		"ctrl-c":           {trap, "\x03", "interrupted", 3},
		"ctrl-backslash":   {trap, "\x1c", "quit", 3},
		"ctrl-c-by-itself": {`echo ready; exec sleep 1000`, "\x03", "", 130},
		"ctrl-d":           {`echo ready; cat; exit 8`, "\x04", "", 8},
		"echo":             {trap, "typed\r", "typed\r\n", 3},
		"raw":              {`stty raw -echo; echo ready; head -c 3 | od -An -tx1; exit 2`, "\x03\x11\x1a", "03 11 1a", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := onTerminal(t, shell(c.script))
			p.sees("ready")
			p.types(c.keys)
			if c.sees != "" {
				p.sees(c.sees)
			}
			if c.code == 3 {
				testenv.Must(t, p.cmd.Process.Signal(syscall.SIGTERM))
			}
			p.ends(c.code)
		})
	}
}

// TestTerminalIsRestored checks every way in which a client can end.
func TestTerminalIsRestored(t *testing.T) {
	if !mountHome(t) {
		return
	}
	const forever = `echo $$; exec sleep 1000`
	for name, c := range map[string]struct {
		script string
		do     func(p *person) error
		code   int
	}{
		"client-killed": {forever, func(p *person) error { return syscall.Kill(p.pid(p.t), syscall.SIGKILL) }, 137},
		"term":          {forever, func(p *person) error { return p.cmd.Process.Signal(syscall.SIGTERM) }, 143},
		"hup":           {forever, func(p *person) error { return p.cmd.Process.Signal(syscall.SIGHUP) }, 129},
		"interrupt":     {forever, func(p *person) error { return p.cmd.Process.Signal(syscall.SIGINT) }, 130},
		"quit":          {forever, func(p *person) error { return p.cmd.Process.Signal(syscall.SIGQUIT) }, 131},
		"stubborn":      {`trap '' HUP TERM; ` + forever, func(p *person) error { return p.cmd.Process.Signal(syscall.SIGHUP) }, 137},
		"changed-it":    {`stty raw; echo 1; exit 1`, func(*person) error { return nil }, 1},
		"not-started":   {``, func(*person) error { return nil }, failedToRun},
	} {
		t.Run(name, func(t *testing.T) {
			o := shell(c.script)
			o.Grace = 50 * time.Millisecond
			if name == "not-started" {
				file(t, "/mnt/no-program", "text\n", 0o755, 0)
				o.Argv = []string{"/mnt/no-program"}
			}
			p := onTerminal(t, o)
			if name != "changed-it" && name != "not-started" {
				p.pid(t)
			}
			testenv.Must(t, c.do(p))
			p.ends(c.code)
		})
	}
}

// TestTerminalVanishes checks that no client with the token outlives its terminal.
// An engine whose client has died only closes the terminal.
func TestTerminalVanishes(t *testing.T) {
	if !mountHome(t) {
		return
	}
	for name, script := range map[string]string{
		"hears":    `trap 'exit 1' HUP; echo $$; while :; do sleep 1000; done`,
		"stubborn": `trap '' HUP; echo $$; while :; do sleep 1000; done`,
		"writes":   `trap '' HUP; echo $$; while :; do echo x; done`,
	} {
		t.Run(name, func(t *testing.T) {
			o := shell(script)
			o.Grace = 50 * time.Millisecond
			p := onTerminal(t, o)
			pid := p.pid(t)
			p.slave.Close()
			p.master.Close()
			endsSoon(t, "the client", pid)
			endsSoon(t, "the relay", p.cmd.Process.Pid)
		})
	}
}

// TestHangingGrandchild checks that a process with the terminal open delays nothing.
func TestHangingGrandchild(t *testing.T) {
	if !mountHome(t) {
		return
	}
	p := onTerminal(t, shell(`setsid sh -c 'trap "" HUP TERM; echo $$; sleep 1000' & sleep 0.2; echo last; exit 4`))
	pid := p.pid(t)
	p.ends(4)
	p.sees("last")
	if !hasEnded(pid) {
		t.Error("it lives")
	}
}

// TestLastWords checks that output right before the client's end is shown.
func TestLastWords(t *testing.T) {
	if !mountHome(t) {
		return
	}
	for range 20 {
		p := onTerminal(t, shell(`i=0; while [ $i -lt 300 ]; do echo "line $i xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; i=$((i+1)); done; echo last`))
		p.ends(0)
		p.sees("line 299 ")
		p.sees("last\r\n")
	}
}
