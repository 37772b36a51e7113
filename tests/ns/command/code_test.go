// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/ns/box"
)

func TestMain(m *testing.M) { os.Exit(box.Main(m)) }

const patience = 20 * time.Second

// eachMode runs f with a gateway beside the command, and without.
func eachMode(t *testing.T, f func(t *testing.T, args []string)) {
	for mode, args := range map[string][]string{"gateway": nil, "no-gateway": {"--no-gateway"}} {
		t.Run(mode, func(t *testing.T) { f(t, args) })
	}
}

// code returns the exit code of a PID 1 that runs command, and the log.
func code(t *testing.T, args []string, plant []box.Entry, command ...string) (int, string) {
	t.Helper()
	b := box.Start(t, box.Options{Args: args, Command: command, Plant: plant, Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}})
	end := b.Wait(patience)
	if !end.Exited() {
		t.Fatalf("PID 1 did not exit: %v", end)
	}
	return end.ExitStatus(), b.Log()
}

// Scenario L23, the codes. The exit code of the agent was lost, or that of another
// process was reported.
func TestEveryExitCodeIsPassedOn(t *testing.T) {
	eachMode(t, func(t *testing.T, args []string) {
		for _, want := range []int{0, 1, 2, 3, 63, 64, 75, 78, 125, 126, 127, 128, 129, 130, 137, 143, 200, 254, 255} {
			t.Run(strconv.Itoa(want), func(t *testing.T) {
				if got, _ := code(t, args, nil, "demotools", "exit", strconv.Itoa(want)); got != want {
					t.Errorf("exit code %d, want %d", got, want)
				}
			})
		}
	})
}

// Scenario L23, the signals. The code is 128+n for a command that signal n ended.
func TestSignaledCommandExits128PlusSignal(t *testing.T) {
	eachMode(t, func(t *testing.T, args []string) {
		for _, sig := range []int{1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 31, 34, 50, 64} {
			t.Run(strconv.Itoa(sig), func(t *testing.T) {
				if got, _ := code(t, args, nil, "demotools", "die", strconv.Itoa(sig)); got != 128+sig {
					t.Errorf("exit code %d, want %d", got, 128+sig)
				}
			})
		}
	})
}

// programs returns files that cannot be executed, each for another reason.
func programs() []box.Entry {
	file := func(name, text string, mode uint32) box.Entry {
		return box.Entry{Path: "/programs/" + name, Type: unix.S_IFREG, Mode: mode, Data: text}
	}
	return []box.Entry{
		file("text", "no program\n", 0o755), file("plain", "#!/usr/local/bin/demotools\n", 0o644),
		file("root", "#!/usr/local/bin/demotools\n", 0o700), file("script", "#!/no/such/interpreter\n", 0o755),
		file("empty", "", 0o755), file("elf", "\x7fELF\x02\x01\x01", 0o755),
		{Path: "/programs/loop", Link: "loop"}, {Path: "/programs/dangling", Link: "nowhere"},
	}
}

// Scenario L23, the errors of execve. The code is 127 for a program that does not
// exist, and 126 for one that cannot be executed, with a line that names it.
func TestExecErrorsAre126Or127(t *testing.T) {
	eachMode(t, func(t *testing.T, args []string) {
		for name, try := range map[string]struct {
			command string
			want    int
			why     string
		}{
			"not-in-path":         {"no-such-program", 127, ""},
			"no-such-file":        {"/no/such/program", 127, ""},
			"relative":            {"./no-such-program", 127, ""},
			"no-interpreter":      {"/programs/script", 127, `its interpreter \"/no/such/interpreter\": no such file`},
			"dangling-link":       {"/programs/dangling", 127, ""},
			"directory":           {"/etc", 126, ""},
			"not-executable":      {"/programs/plain", 126, ""},
			"for-root-only":       {"/programs/root", 126, ""},
			"not-a-program":       {"/programs/text", 126, "it is text without a first line"},
			"empty-file":          {"/programs/empty", 126, "it is an empty file"},
			"cut-program":         {"/programs/elf", 126, "it is a damaged ELF file"},
			"link-to-itself":      {"/programs/loop", 126, ""},
			"file-as-directory":   {"/etc/passwd/x", 126, ""},
			"very-long-file-name": {"/" + strings.Repeat("x", 300), 126, ""},
		} {
			t.Run(name, func(t *testing.T) {
				got, log := code(t, args, programs(), try.command)
				if got != try.want {
					t.Errorf("exit code %d, want %d", got, try.want)
				}
				if !strings.Contains(log, `"event":"command-failed"`) || !strings.Contains(log, try.command) || !strings.Contains(log, try.why) {
					t.Errorf("no line names %s and %q:\n%s", try.command, try.why, log)
				}
			})
		}
	})
}
