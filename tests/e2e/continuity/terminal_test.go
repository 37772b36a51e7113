// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// terminal is a docker run -it.
type terminal struct {
	*harness.Terminal
	name string
}

// openTerminal runs the demo image on a new terminal of that size. args are options
// of gateway-init and the command.
func openTerminal(t *testing.T, size pty.Winsize, args ...string) *terminal {
	t.Helper()
	name := harness.NewName(t)
	all := append([]string{"run", "-it", "--name", name, "--label", "gateway-init-test=" + t.Name()}, harness.Flags(t)...)
	all = append(all, "--tmpfs", fmt.Sprintf("/var/lib/gateway:uid=%d,mode=0700", harness.UID(t, harness.GatewayUID)), harness.DemoImage)
	all = append(append(all, harness.Entry()...), args...)
	m := &terminal{harness.OpenTerminal(t, size, all...), name}
	t.Cleanup(func() { harness.Engine(t, nil, "rm", "-f", "-v", name) })
	return m
}

func (m *terminal) waitFor(text string, times int) { m.WaitFor(text, times, boot) }

// code returns the container's exit code.
func (m *terminal) code() int { return m.Code(boot) }

// probe returns the gateway that serves.
func (m *terminal) probe(t *testing.T) string {
	t.Helper()
	r := harness.Engine(t, nil, append(harness.ExecArgs(t, ""), m.name, "gatewayctl", "probe")...)
	if r.Code != 0 {
		t.Fatalf("probe: %v", r)
	}
	return r.Stdout
}

const ctrlC, ctrlBackslash = "\x03", "\x1c"

// Scenario L23, a terminal. Ctrl-C did nothing, or ended the gateway and not the
// command. The size of the window was lost.
func TestTerminalBelongsToTheCommand(t *testing.T) {
	t.Parallel()
	for mode, args := range modes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			t.Run("ctrl-c", func(t *testing.T) {
				m := openTerminal(t, pty.Winsize{Rows: 33, Cols: 111}, append(args, "demotools", "tty-watch")...)
				m.waitFor("tty=yes rows=33 cols=111 foreground=true", 1)
				m.Type(ctrlC)
				if got := m.code(); got != 130 {
					t.Errorf("exit code %d after Ctrl-C, want 130", got)
				}
			})
			t.Run("resize", func(t *testing.T) {
				m := openTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, append(args, "demotools", "tty-watch")...)
				m.waitFor("tty=yes rows=24 cols=80 foreground=true", 1)
				for _, size := range []pty.Winsize{{Rows: 50, Cols: 132}, {Rows: 10, Cols: 40}} {
					m.Resize(size)
					m.waitFor(fmt.Sprintf("tty=yes rows=%d cols=%d foreground=true", size.Rows, size.Cols), 1)
				}
				m.Type(ctrlC)
				if got := m.code(); got != 130 {
					t.Errorf("exit code %d after Ctrl-C, want 130", got)
				}
			})
			t.Run("ctrl-c-is-the-commands", func(t *testing.T) {
				m := openTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, append(args, "demotools", "trap", "command", "2", "44")...)
				m.waitFor("command waits", 1)
				m.Type(ctrlC)
				m.waitFor("command got interrupt", 1)
				if got := m.code(); got != 44 {
					t.Errorf("exit code %d, want the command's 44", got)
				}
			})
			t.Run("quit", func(t *testing.T) {
				m := openTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, append(args, "demotools", "trap", "command", "0", "45")...)
				m.waitFor("command waits", 1)
				m.Type(ctrlBackslash)
				m.waitFor("command got quit", 1)
				if got := m.code(); got != 45 {
					t.Errorf("exit code %d, want the command's 45", got)
				}
			})
			t.Run("input", func(t *testing.T) {
				m := openTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, append(args, "demotools", "cat")...)
				for i := range 3 {
					line := fmt.Sprintf("line number %d", i)
					m.Type(line + "\r")
					m.waitFor(line, 2) // the terminal's echo, and cat's
				}
				m.Type("\x04") // Ctrl-D
				if got := m.code(); got != 0 {
					t.Errorf("exit code %d at the end of input", got)
				}
			})
			t.Run("docker-stop", func(t *testing.T) {
				m := openTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, append(args, "demotools", "trap", "command", "0", "46")...)
				m.waitFor("command waits", 1)
				if r := harness.Engine(t, nil, "stop", m.name); r.Code != 0 {
					t.Fatal(r)
				}
				m.waitFor("command got terminated", 1)
				if got := m.code(); got != 46 {
					t.Errorf("exit code %d, want the command's 46", got)
				}
			})
		})
	}
}

// Scenario L23, a terminal and the gateway. Ctrl-C is for the agent. The gateway has
// its own session and goes on.
func TestInterruptNeverReachesTheGateway(t *testing.T) {
	t.Parallel()
	m := openTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, "demotools", "trap", "command", "5", "48")
	m.waitFor("command waits", 1)
	before := m.probe(t)
	m.Type(ctrlC)
	m.waitFor("command got interrupt", 1)
	if after := m.probe(t); after != before {
		t.Errorf("the gateway was %q and is %q", before, after)
	}
	if got := m.code(); got != 48 {
		t.Errorf("exit code %d, want the command's 48", got)
	}
}

// Scenario F16, a terminal UI. A restart from outside, and the gateway's own lines, were drawn
// over its screen.
func TestTerminalUIKeepsItsScreen(t *testing.T) {
	t.Parallel()
	m := openTerminal(t, pty.Winsize{Rows: 24, Cols: 80}, "demotools", "tty-watch")
	m.waitFor("tty=yes rows=24 cols=80 foreground=true", 1)
	ctl := func(args ...string) string {
		t.Helper()
		r := harness.Engine(t, nil, append(append(harness.ExecArgs(t, ""), m.name, "gatewayctl"), args...)...)
		if r.Code != 0 {
			t.Fatalf("%v: %v", args, r)
		}
		return r.Stdout
	}
	before := m.Shown()
	ctl("restart")
	ctl("restart", "--rotate-token")
	m.Resize(pty.Winsize{Rows: 50, Cols: 132})
	m.waitFor("tty=yes rows=50 cols=132 foreground=true session-leader=false", 1)
	if got := strings.TrimPrefix(m.Shown(), before); strings.Count(got, "\n") != strings.Count(got, "foreground=true") {
		t.Errorf("the screen has %q", got)
	}
	for log, want := range map[string]string{"init": `"event":"token-rotated"`, "gateway": "demogateway: listening"} {
		if text := ctl("logs", log); !strings.Contains(text, want) {
			t.Errorf("logs %s: %s", log, text)
		}
	}
	m.Type(ctrlC)
	m.waitFor(`"event":"terminated","code":130`, 1)
	if got := m.code(); got != 130 {
		t.Errorf("exit code %d, want 130", got)
	}
}

// Scenario L23, a detached terminal. With docker run -dt no client is attached to
// the terminal.
func TestDetachedTerminalKeepsExitCodes(t *testing.T) {
	t.Parallel()
	for mode, args := range modes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c, got := runToEnd(t, harness.Options{Args: args, Extra: []string{"-t"}, Command: []string{"demotools", "tty-info"}})
			if got != 0 {
				t.Errorf("exit code %d", got)
			}
			if err := logHas(c, "tty=yes", "foreground=true"); err != nil {
				t.Error(err)
			}
			for _, sig := range []string{"INT", "HUP", "TERM"} {
				c := harness.Start(t, harness.Options{Args: args, Extra: []string{"-t"}, Command: []string{"demotools", "trap", "command", "0", "47"}})
				waitLog(t, c, "command waits")
				c.Kill(sig)
				if got := c.WaitExit(boot); got != 47 {
					t.Errorf("exit code %d after SIG%s, want the command's 47", got, sig)
				}
			}
			_, got = runToEnd(t, harness.Options{Args: args, Extra: []string{"-t"}, Command: []string{"/no/such/program"}})
			if got != 127 {
				t.Errorf("exit code %d of a program that is not there", got)
			}
		})
	}
}
