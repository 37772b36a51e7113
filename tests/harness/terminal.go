// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Terminal is a command on a terminal, with the user's end of it.
type Terminal struct {
	t    testing.TB
	file *os.File
	tty  *os.File // the command's end, kept open as a shell would
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	text strings.Builder
}

// OpenTerminal runs the engine's command with args (run -it, exec -it) on a new
// terminal of that size. The command is killed at the end of the test. The caller
// has to remove what it started.
func OpenTerminal(t testing.TB, size pty.Winsize, args ...string) *Terminal {
	t.Helper()
	starting(t, args)
	return OpenTerminalWith(t, size, exec.Command(engine(), args...))
}

// OpenTerminalWith does the same for any command, which leads its own session.
func OpenTerminalWith(t testing.TB, size pty.Winsize, cmd *exec.Cmd) *Terminal {
	t.Helper()
	m := &Terminal{t: t, cmd: cmd, done: make(chan struct{})}
	var err error
	if m.file, m.tty, err = pty.Open(); err == nil {
		err = pty.Setsize(m.file, &size)
	}
	if err != nil {
		t.Fatalf("cannot open a terminal: %v", err)
	}
	m.cmd.Stdin, m.cmd.Stdout, m.cmd.Stderr = m.tty, m.tty, m.tty
	if m.cmd.SysProcAttr == nil {
		m.cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	m.cmd.SysProcAttr.Setsid, m.cmd.SysProcAttr.Setctty = true, true
	if err := m.cmd.Start(); err != nil {
		t.Fatalf("cannot start %v: %v", cmd.Args, err)
	}
	go m.read()
	t.Cleanup(m.close)
	return m
}

func (m *Terminal) read() {
	defer close(m.done)
	buf := make([]byte, 4096)
	for {
		n, err := m.file.Read(buf) // EIO after the other end was closed
		m.mu.Lock()
		m.text.Write(buf[:n])
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (m *Terminal) close() {
	if m.cmd.ProcessState == nil {
		m.Kill()
	}
	m.tty.Close()
	<-m.done
	m.file.Close()
	if m.t.Failed() {
		m.t.Logf("terminal of %v:\n%s", m.cmd.Args, m.Shown())
	}
}

// Kill sends SIGKILL to the engine's command, and none to the container.
func (m *Terminal) Kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}

// Shown returns everything that the terminal has shown.
func (m *Terminal) Shown() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// WaitFor waits until the terminal has shown the text the given number of times.
func (m *Terminal) WaitFor(text string, times int, deadline time.Duration) {
	m.t.Helper()
	Eventually(m.t, deadline, fmt.Sprintf("%q on the terminal, %d times", text, times), func() error {
		if n := strings.Count(m.Shown(), text); n < times {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
}

// Type types keys as a user does.
func (m *Terminal) Type(keys string) {
	m.t.Helper()
	if _, err := io.WriteString(m.file, keys); err != nil {
		m.t.Fatal(err)
	}
}

// Resize changes the size of the terminal.
func (m *Terminal) Resize(size pty.Winsize) {
	m.t.Helper()
	if err := pty.Setsize(m.tty, &size); err != nil {
		m.t.Fatal(err)
	}
}

// Foreground returns the terminal's foreground process group.
func (m *Terminal) Foreground() int {
	m.t.Helper()
	group, err := unix.IoctlGetInt(int(m.file.Fd()), unix.TIOCGPGRP)
	if err != nil {
		m.t.Fatal(err)
	}
	return group
}

// Hangup hangs up the terminal, as a modem does when its line drops (root only).
func (m *Terminal) Hangup() {
	m.t.Helper()
	if err := unix.IoctlSetInt(int(m.tty.Fd()), unix.TIOCVHANGUP, 0); err != nil {
		m.t.Fatal(err)
	}
}

// Signal sends a signal to the command.
func (m *Terminal) Signal(sig unix.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(sig); err != nil {
		m.t.Fatal(err)
	}
}

// PID returns the pid of the command.
func (m *Terminal) PID() int { return m.cmd.Process.Pid }

// Mode returns the terminal's present mode.
func (m *Terminal) Mode() unix.Termios {
	m.t.Helper()
	mode, err := unix.IoctlGetTermios(int(m.tty.Fd()), unix.TCGETS)
	if err != nil {
		m.t.Fatal(err)
	}
	return *mode
}

// Code waits for the exit of the engine's command and returns its exit code.
func (m *Terminal) Code(deadline time.Duration) int {
	m.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.cmd.Wait()
	}()
	select {
	case <-ended:
		return m.cmd.ProcessState.ExitCode()
	case <-time.After(deadline):
		m.t.Fatalf("%v has not ended", m.cmd.Args)
		return 0
	}
}

// TryType is Type for a terminal whose command may have exited.
func (m *Terminal) TryType(keys string) { io.WriteString(m.file, keys) }
