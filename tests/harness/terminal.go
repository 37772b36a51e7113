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

// Terminal is a command on a terminal, with a person's end of it.
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
// terminal of that size. It is killed at the end of the test; what it started is
// the caller's.
func OpenTerminal(t testing.TB, size pty.Winsize, args ...string) *Terminal {
	t.Helper()
	starting(t, args)
	return OpenTerminalWith(t, size, exec.Command(engine(), args...))
}

// OpenTerminalWith does it for any command, which leads a session of its own.
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
		n, err := m.file.Read(buf) // EIO when the other end is gone
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

// Kill is kill -9 of the engine's command; nothing of the container is touched.
func (m *Terminal) Kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}

// Shown is all that the terminal has shown.
func (m *Terminal) Shown() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// WaitFor waits until the terminal has shown the text so many times.
func (m *Terminal) WaitFor(text string, times int, deadline time.Duration) {
	m.t.Helper()
	Eventually(m.t, deadline, fmt.Sprintf("%q on the terminal, %d times", text, times), func() error {
		if n := strings.Count(m.Shown(), text); n < times {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
}

// Type is what a person does.
func (m *Terminal) Type(keys string) {
	m.t.Helper()
	if _, err := io.WriteString(m.file, keys); err != nil {
		m.t.Fatal(err)
	}
}

// Resize changes the window.
func (m *Terminal) Resize(size pty.Winsize) {
	m.t.Helper()
	if err := pty.Setsize(m.tty, &size); err != nil {
		m.t.Fatal(err)
	}
}

// Foreground is the terminal's foreground process group.
func (m *Terminal) Foreground() int {
	m.t.Helper()
	group, err := unix.IoctlGetInt(int(m.file.Fd()), unix.TIOCGPGRP)
	if err != nil {
		m.t.Fatal(err)
	}
	return group
}

// Hangup is the end of the terminal: a modem's line that drops (root only).
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

// PID is the command's.
func (m *Terminal) PID() int { return m.cmd.Process.Pid }

// Mode is how the terminal behaves now.
func (m *Terminal) Mode() unix.Termios {
	m.t.Helper()
	mode, err := unix.IoctlGetTermios(int(m.tty.Fd()), unix.TCGETS)
	if err != nil {
		m.t.Fatal(err)
	}
	return *mode
}

// Code waits for the end of the engine's command and returns its exit code.
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

// TryType is Type for a terminal whose command may have ended.
func (m *Terminal) TryType(keys string) { io.WriteString(m.file, keys) }
