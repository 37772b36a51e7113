// SPDX-License-Identifier: Apache-2.0

package openclaw

import (
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// tui opens the terminal UI as the README says, lets it ask the agent, and ends
// it with Ctrl-C.
func tui(t *testing.T, c *harness.Container) {
	t.Helper()
	m := harness.OpenTerminal(t, pty.Winsize{Rows: 40, Cols: 120}, "exec", "-it", c.Name, "gatewayctl", "tui")
	m.WaitFor("gateway connected", 1, 3*time.Minute)
	m.Type("hello\r")
	m.WaitFor("RESULTS null END", 1, 3*time.Minute)
	quit(t, m)
}

// pasteOff is the last output of a terminal UI. After it, Ctrl-C is a signal and no
// key.
const pasteOff = "\x1b[?2004l"

// quit presses Ctrl-C until the terminal UI ends. The first may only stop its
// current work.
func quit(t *testing.T, m *harness.Terminal) {
	t.Helper()
	code := make(chan int, 1)
	go func() { code <- m.Code(2 * time.Minute) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case got := <-code:
			if got != 0 {
				t.Errorf("the terminal UI ended with %d", got)
			}
			return
		case <-tick.C:
			if !strings.Contains(m.Shown(), pasteOff) {
				m.TryType("\x03")
			}
		}
	}
}

// authenticates returns the status of a request that needs the token: 404 with it,
// 401 without.
func authenticates(c *harness.Container, token string) int {
	return c.HTTP("POST", "/tools/invoke", token, `{"tool":"nosuch"}`).Code
}
