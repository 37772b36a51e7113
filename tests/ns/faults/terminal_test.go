// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// terminal returns both ends of a new terminal.
func terminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	person, tty, err := pty.Open()
	testenv.Must(t, err)
	t.Cleanup(func() { person.Close(); tty.Close() })
	return person, tty
}

// TestCtrlZDoesNotKillTheTerminal checks that Ctrl-Z at docker run -it stops the command
// for an instant only, because no shell above could continue it, and that Ctrl-C still
// ends it.
func TestCtrlZDoesNotKillTheTerminal(t *testing.T) {
	person, tty := terminal(t)
	b := box.Start(t, box.Options{Terminal: tty, Command: []string{"/usr/local/bin/demotools", "cat"}})
	b.WaitServing(20 * time.Second)
	waitCommand(b)
	typed := func(text, want string) {
		_, err := person.WriteString(text)
		testenv.Must(t, err)
		testenv.Eventually(t, "the command's answer "+want, func() bool { return strings.Contains(b.Log(), want) })
	}
	typed("before\n", "before\n")
	typed("\x1aafter\n", "after\n")
	_, err := person.WriteString("\x03")
	testenv.Must(t, err)
	if s := b.Wait(20 * time.Second); s.ExitStatus() != 130 {
		t.Errorf("ended with %d", s.ExitStatus())
	}
}
