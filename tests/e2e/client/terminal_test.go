// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// A user's whole session in the terminal UI works.
func TestTUI(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{})
	m := tui(t, c, "--", "--session", "main")
	before := m.Mode()
	m.WaitFor(greeting, 1, boot)
	m.WaitFor("tty=yes rows=33 cols=111 foreground=true session-leader=true", 1, boot) // the engine sets it at the start or a moment later
	for _, want := range []string{"args: --session main", "uid=9003 euid=9003 gid=9003 egid=9003 groups=[9003]",
		"gateway: accepts the token", "gatewayctl: note: HOME is a temporary directory"} {
		if !strings.Contains(m.Shown(), want) {
			t.Errorf("no %q", want)
		}
	}
	m.Type("hello\r")
	m.WaitFor(`you said "hello"`, 1, boot)
	m.Resize(pty.Winsize{Rows: 50, Cols: 132})
	m.WaitFor("tty=yes rows=50 cols=132 foreground=true", 1, boot)
	m.Type(ctrlC)
	m.WaitFor("got interrupt", 1, boot)
	m.Type("exit\r")
	m.WaitFor("bye", 1, boot)
	if code := m.Code(boot); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if after := m.Mode(); after != before {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
	if strings.Contains(m.Shown(), c.Token()) {
		t.Error("the token was shown")
	}
	waitNoClients(t, c)
	checkNoHomes(t, c)
}

// The exit code is the client's, with and without a terminal.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	c := harness.Look(t, "readme", harness.Options{})
	for _, test := range []struct {
		args []string
		code int
	}{
		{[]string{"demotools", "exit", "0"}, 0}, {[]string{"demotools", "exit", "7"}, 7}, {[]string{"demotools", "die", "9"}, 137},
		{[]string{"demotools", "die", "15"}, 143}, {[]string{"no-such-program"}, 127}, {[]string{"/etc/passwd"}, 126},
		{[]string{"--user", "gateway", "demotools", "id"}, 3}, {[]string{"--client", "no-such-client"}, 3}, {[]string{}, 2},
	} {
		if r := c.Ctl(append([]string{"exec"}, test.args...)...); r.Code != test.code {
			t.Errorf("%q: %v", test.args, r)
		}
		all := append([]string{"exec", "-it", c.Name, "gatewayctl", "exec"}, test.args...)
		if code := harness.OpenTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, all...).Code(boot); code != test.code {
			t.Errorf("%q on a terminal: exit code %d, want %d", test.args, code, test.code)
		}
	}
	// Without a supervisor there is no token.
	alone := harness.Start(t, harness.Options{Extra: []string{"--entrypoint", "/usr/local/bin/demotools"}, Args: []string{"sleep", "600"}})
	for _, args := range [][]string{{"tui"}, {"exec", "demotools", "id"}} {
		if r := alone.Ctl(args...); r.Code != 5 || r.Stdout != "" || !strings.Contains(r.Stderr, "cannot "+args[0]+": no-supervisor: ") {
			t.Errorf("%q without a supervisor: %v", args, r)
		}
	}
}

// A client with pipes gets all its input, and all its output arrives.
func TestPipes(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{})
	text := strings.Repeat("0123456789abcdef\n", 64<<10)
	if r := c.ExecInput("", []byte(text), "gatewayctl", "exec", "demotools", "cat"); r.Code != 0 || r.Stdout != text {
		t.Errorf("code %d, %d of %d bytes, %s", r.Code, len(r.Stdout), len(text), r.Stderr)
	}
	if r := c.ExecInput("", []byte("one\nexit\n"), "gatewayctl", "tui"); r.Code != 0 || !strings.Contains(r.Stdout, "tty=no") || !strings.HasSuffix(r.Stdout, "you said \"one\"\nbye\n") {
		t.Errorf("tui without a terminal: %v", r)
	}
	if r := c.Ctl("exec", "demotools", "stdio-all", "1000"); r.Code != 0 || strings.Count(r.Stdout, "\n") != 1000 || strings.Count(r.Stderr, "stderr line") != 1000 {
		t.Errorf("code %d, %d and %d lines", r.Code, strings.Count(r.Stdout, "\n"), strings.Count(r.Stderr, "\n"))
	}
	// An orphan of the client neither delays the end of the call nor outlives it.
	begin := time.Now()
	if r := c.Ctl("exec", "demotools", "orphan-then", "sleep", "600", "--", "exit", "4"); r.Code != 4 || time.Since(begin) > boot {
		t.Errorf("after %v: %v", time.Since(begin), r)
	}
	waitNoClients(t, c)
}

// A home that exists is used and kept. Otherwise a temporary one is made and removed.
func TestHome(t *testing.T) {
	t.Parallel()
	const flag = "/home/operator:uid=9003,gid=9003,mode=0700"
	for name, test := range map[string]struct {
		o    harness.Options
		home string
	}{
		"none":     {harness.Options{}, "/dev/shm/.gatewayctl-home-"},
		"tmpfs":    {harness.Options{Extra: []string{"--tmpfs", flag}}, "/home/operator"},
		"writable": {harness.Options{Flags: []string{}}, "/home/operator"},
		"foreign":  {harness.Options{Extra: []string{"--tmpfs", "/home/operator:uid=9002,gid=9002,mode=0777"}}, "/dev/shm/.gatewayctl-home-"},
		"shm-gone": {harness.Options{Extra: []string{"-v", "/dev/null:/dev/shm"}}, "/tmp/.gatewayctl-home-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startServing(t, test.o)
			r := c.Ctl("exec", "demotools", "env")
			temporary := !strings.HasSuffix(test.home, "operator")
			if r.Code != 0 || !strings.Contains(r.Stdout, "\nHOME="+test.home) || !strings.Contains(r.Stdout, "\nTMPDIR="+test.home) ||
				strings.Contains(r.Stderr, "--tmpfs "+flag) != temporary {
				t.Errorf("got %v", r)
			}
			r = c.ExecInput("", []byte("kept"), "gatewayctl", "exec", "demotools", "write", "file")
			kept, err := os.ReadFile(c.HostPath("/home/operator/file"))
			if r.Code != 0 || (err == nil && string(kept) == "kept") == temporary {
				t.Errorf("%v; the file: %q, %v", r, kept, err)
			}
			checkNoHomes(t, c)
		})
	}
	c := startServing(t, harness.Options{
		Flags:  append([]string{"-v", "/dev/null:/dev/shm"}, removeFlag(harness.ReadmeFlags(), "--tmpfs", harness.Tmp)...),
		Config: map[string]any{"prepare": nil}, // its directory is in /tmp
	})
	if r := c.Ctl("tui"); r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "run the container with --tmpfs "+flag) {
		t.Errorf("without any: %v", r)
	}
}

// removeFlag removes a flag and its value.
func removeFlag(flags []string, name, value string) []string {
	for i := range flags {
		if flags[i] == name && flags[i+1] == value {
			return append(flags[:i:i], flags[i+2:]...)
		}
	}
	return flags
}

// docker exec dies. The engine closes the pipes of such an exec, so a client that
// reads them ends by itself. It keeps a terminal open without a signal, so a client
// there ends with the container at the latest.
func TestEngineClientKilled(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{})
	m := tui(t, c)
	m.WaitFor(greeting, 1, boot)
	m.Kill()
	// If the relay is killed from outside, the client ends too.
	for _, p := range c.Processes() {
		if p.Comm == "gatewayctl" {
			kill9(t, p.HostPID)
		}
	}
	waitNoClients(t, c)
	if lockHeld(t, c) {
		t.Error("the lock of a killed relay is held")
	}
	left, err := filepath.Glob(c.HostPath("/dev/shm") + "/.gatewayctl*")
	if err != nil || len(left) != 1 { // the killed relay could not remove it; its owner is the operator, its mode 0700
		t.Errorf("homes: %q, %v", left, err)
	}
	m = tui(t, c)
	m.WaitFor(greeting, 1, boot)
	m.Kill()
	if took := c.Stop(); took > testenv.AtMost(t, 9*time.Second) {
		t.Errorf("docker stop took %v", took)
	}
	if code := c.WaitExit(boot); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// docker stop works while a terminal UI is in use.
func TestStop(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{})
	m := tui(t, c)
	before := m.Mode()
	m.WaitFor(greeting, 1, boot)
	if took := c.Stop(); took > testenv.AtMost(t, 9*time.Second) {
		t.Errorf("docker stop took %v", took)
	}
	if code := c.WaitExit(boot); code != 0 {
		t.Errorf("the container's exit code is %d", code)
	}
	m.Code(boot) // depends on the engine
	if after := m.Mode(); after != before {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
}

// kill9 sends SIGKILL as root on the host.
func kill9(t *testing.T, hostPID int) {
	t.Helper()
	p, err := os.FindProcess(hostPID)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(fmt.Errorf("cannot kill %d: %w", hostPID, err))
	}
}
