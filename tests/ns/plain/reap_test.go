// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestOrphans checks that we reap the orphans of the command, as PID 1 and as a
// subreaper. -w reports them.
func TestOrphans(t *testing.T) {
	for _, h := range []how{{}, {beside: true}} {
		r := start(t, h, "-s", "-w", "sh", "-c", "for i in 1 2 3; do sh -c 'true & true &'; done; echo left; exec sleep 1000")
		r.waitFor("left")
		testenv.Eventually(t, "six are reaped", func() bool { return strings.Count(r.stderr(), "reaped orphan") == 6 })
		testenv.Eventually(t, "only the command is left", func() bool { return len(r.children()) == 1 })
		r.signal(int(unix.SIGTERM))
		if code := r.ended(); code != 143 {
			t.Errorf("exit code %d", code)
		}
	}
}

// TestManyAtOnce ends a thousand children in the same instant. No zombie is left,
// and the command's exit is not lost among them.
func TestManyAtOnce(t *testing.T) {
	// One process group, apart from the command's, so that one kill(2) ends them
	// all.
	r := start(t, how{}, "bash", "-c", `set -m
		(for i in {1..1000}; do sleep 1000 & done; echo started; wait) & group=$!
		read line <"$0"
		kill -KILL -- -$group; echo killed; exit 6`, fifo(t))
	r.waitFor("started")
	testenv.Must(t, os.WriteFile(r.cmd.Args[len(r.cmd.Args)-1], []byte("go\n"), 0))
	if code := r.ended(); code != 6 {
		t.Errorf("exit code %d", code)
	}
	// Again, with a command that stays alive.
	r = start(t, how{}, "bash", "-c", `set -m
		bash -c 'for i in {1..1000}; do sleep 1000 & done; echo started; kill -STOP $$' &
		wait; echo stopped; read line <"$0"; kill -KILL -- -$!; sleep 1000`, fifo(t))
	r.waitFor("stopped")
	testenv.Must(t, os.WriteFile(r.cmd.Args[len(r.cmd.Args)-1], []byte("go\n"), 0))
	testenv.Eventually(t, "only the command is left", func() bool { return len(r.children()) == 1 })
	r.signal(int(unix.SIGTERM))
	if code := r.ended(); code != 143 {
		t.Errorf("exit code %d", code)
	}
}

// fifo makes a FIFO at which a script waits for the test.
func fifo(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/fifo"
	testenv.Must(t, unix.Mkfifo(path, 0o600))
	return path
}

// TestGrace checks that leftover processes get a SIGTERM, then the grace, then a
// SIGKILL. All of them are reaped before we exit with the command's code.
func TestGrace(t *testing.T) {
	// Each reports by a file that it is ready. One of them then stops itself.
	const leave = `cd "$0"
		(trap 'echo asked; exit' TERM; >a; while :; do sleep 0.02; done) &
		(trap '' TERM; >b; while :; do sleep 0.02; done) &
		(>c; kill -STOP $BASHPID; sleep 1000) & setsid sleep 1000 &
		while ! [ -e a -a -e b -a -e c ]; do sleep 0.02; done; exit 5`
	for _, h := range []how{{}, {beside: true}} {
		r := start(t, h, "-vv", "--grace", "3s", "bash", "-c", leave, t.TempDir())
		if code := r.ended(); code != 5 {
			t.Errorf("exit code %d", code)
		}
		if !strings.Contains(r.stdout(), "asked") || !strings.Contains(r.stderr(), "code 137") {
			t.Error("not asked first, or not killed in the end")
		}
	}
	r := start(t, how{}, "--grace=0", "-vv", "bash", "-c", leave, t.TempDir())
	if code := r.ended(); code != 5 || strings.Contains(r.stdout(), "asked") {
		t.Errorf("no grace: exit code %d", code)
	}
	// All exit before the grace has passed, and we do not wait for the rest of it.
	r = start(t, how{}, "--grace=10m", "bash", "-c", `cd "$0"; (trap exit TERM; >a; while :; do sleep 0.02; done) & while ! [ -e a ]; do sleep 0.02; done; exit 5`, t.TempDir())
	if code := r.ended(); code != 5 {
		t.Errorf("exit code %d", code)
	}
}

// TestNoGrace checks that without --grace we exit as soon as the command has, as
// tini does.
func TestNoGrace(t *testing.T) {
	r := start(t, how{beside: true}, "-s", "sh", "-c", `sleep 1000 >/dev/null 2>&1 & echo "pid $!"; exit 2`)
	if code := r.ended(); code != 2 {
		t.Errorf("exit code %d", code)
	}
	var pid int
	if _, err := fmt.Sscanf(r.stdout(), "pid %d", &pid); err != nil {
		t.Fatal(err)
	}
	testenv.Must(t, unix.Kill(pid, unix.SIGKILL)) // it still exists
}
