// SPDX-License-Identifier: Apache-2.0

// Package plain runs gateway-init as an engine runs tini, as the entrypoint of an
// image without /etc/gateway-init. The programs of this machine are mounted.
package plain

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/tests/harness"
)

const patience = 30 * time.Second

// hardened are the flags of a careful user for a container that needs no rights.
var hardened = []string{"--user", "1000:1000", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "16"}

// image returns the arguments of docker run after its flags. The image is
// gateway-init:dev with a shell mounted, and gateway-init is the entrypoint.
func image(flags []string, args ...string) []string {
	mounts := []string{}
	for from, to := range map[string]string{"/usr/bin": "/bin", "/usr/lib": "/lib", "/usr/lib64": "/lib64"} {
		if _, err := os.Stat(from); err == nil {
			mounts = append(mounts, "-v", from+":"+to+":ro")
		}
	}
	all := append(append(flags, mounts...), "--network", "none", "--entrypoint", "/usr/local/sbin/gateway-init", "gateway-init:dev")
	return append(all, args...)
}

// run runs a command that ends, by docker run.
func run(t *testing.T, flags []string, args ...string) harness.Result {
	t.Helper()
	return harness.Engine(t, nil, append([]string{"run", "--rm", "--name", harness.NewName(t)}, image(flags, args...)...)...)
}

// detached starts a container in the background and removes it after the test.
func detached(t *testing.T, flags []string, args ...string) (id string) {
	t.Helper()
	r := harness.Engine(t, nil, append([]string{"run", "-d", "--name", harness.NewName(t)}, image(flags, args...)...)...)
	if r.Code != 0 {
		t.Fatal(r)
	}
	id = strings.TrimSpace(r.Stdout)
	t.Cleanup(func() { harness.Engine(t, nil, "rm", "-f", id) })
	return id
}

// TestExitCodes checks that the engine reports the command's exit code, in a
// hardened container and in one with the engine's defaults.
func TestExitCodes(t *testing.T) {
	for _, flags := range [][]string{nil, hardened} {
		for _, c := range []struct {
			want int
			args []string
		}{
			{0, []string{"--", "/bin/true"}}, {7, []string{"/bin/sh", "-c", "exit 7"}}, {143, []string{"/bin/sh", "-c", "kill -TERM $$"}},
			{0, []string{"-e", "7", "--", "/bin/sh", "-c", "exit 7"}}, {127, []string{"/no/such/program"}}, {126, []string{"/bin"}}, {1, []string{"--no-such-option"}},
			{127, []string{"--", ""}},
		} {
			if r := run(t, flags, c.args...); r.Code != c.want {
				t.Errorf("%v %v: %v, want %d", flags, c.args, r, c.want)
			}
		}
	}
}

// TestStop checks that the signal of docker stop is forwarded. A process that the
// command leaves behind does not keep the container alive.
func TestStop(t *testing.T) {
	for _, flags := range [][]string{nil, hardened} {
		id := detached(t, flags, "--grace", "1", "--", "/bin/bash", "-c", `trap "echo asked; exit 5" TERM; (trap "" TERM; /bin/sleep 1000) & echo ready; wait; wait`)
		harness.Eventually(t, patience, "ready", func() error {
			if out := harness.Engine(t, nil, "logs", id).Stdout; !strings.Contains(out, "ready") {
				return fmt.Errorf("%q", out)
			}
			return nil
		})
		harness.Engine(t, nil, "stop", "-t", "25", id)
		if code := strings.TrimSpace(harness.Engine(t, nil, "inspect", "-f", "{{.State.ExitCode}}", id).Stdout); code != "5" {
			t.Errorf("exit code %s", code)
		}
		if out := harness.Engine(t, nil, "logs", id).Stdout; !strings.Contains(out, "asked") {
			t.Errorf("%q", out)
		}
	}
}

// TestReap checks that PID 1 reaps all orphans of docker exec.
func TestReap(t *testing.T) {
	id := detached(t, nil, "/bin/sleep", "1000")
	for range 5 {
		if r := harness.Engine(t, nil, "exec", id, "/bin/sh", "-c", "for i in 1 2 3 4; do /bin/sh -c '/bin/sleep 0.01 & /bin/true &'; done"); r.Code != 0 {
			t.Fatal(r)
		}
	}
	harness.Eventually(t, patience, "PID 1 has one child", func() error {
		out := strings.Fields(harness.Engine(t, nil, "exec", id, "/bin/sh", "-c", "/bin/cat /proc/1/task/*/children").Stdout)
		for _, pid := range out { // the shell of docker exec is not among them
			if _, err := strconv.Atoi(pid); err != nil {
				return err
			}
		}
		if len(out) != 1 {
			return fmt.Errorf("children %v", out)
		}
		return nil
	})
}

// TestUser does gosu's job in an image without /etc/passwd, with the engine's
// default capabilities.
func TestUser(t *testing.T) {
	r := run(t, nil, "--user", "1234:5678", "--drop-caps", "--", "/bin/sh", "-c", "/bin/cat /proc/self/status; echo home $HOME")
	for _, want := range []string{"Uid:\t1234\t1234\t1234\t1234\n", "Gid:\t5678\t5678\t5678\t5678\n", "Groups:\t5678 \n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "home /\n"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("no %q in %v", want, r)
		}
	}
	if r := run(t, nil, "--user", "app", "/bin/true"); r.Code != 1 || !strings.Contains(r.Stderr, "/etc/passwd has no line") {
		t.Errorf("no such user: %v", r)
	}
	if r := run(t, hardened, "--user", "1234:5678", "/bin/true"); r.Code != 1 || !strings.Contains(r.Stderr, "setgroups") {
		t.Errorf("no right to it: %v", r)
	}
}

// TestTerminal runs docker run -it IMAGE bash.
func TestTerminal(t *testing.T) {
	name := harness.NewName(t)
	t.Cleanup(func() { harness.Engine(t, nil, "rm", "-f", name) })
	m := harness.OpenTerminal(t, pty.Winsize{Rows: 30, Cols: 100}, append([]string{"run", "--rm", "-it", "-e", "PS1=@ ", "-e", "PATH=/bin", "--name", name},
		image(nil, "--", "/bin/bash", "--norc", "-i")...)...)
	m.WaitFor("@ ", 1, patience)
	sized := func(size, word string) { // the engine sets the size some time after the start
		m.Type(fmt.Sprintf("until [ \"$(stty size)\" = '%s' ]; do sleep 0.01; done; echo %s $((1+1))\r", size, word))
		m.WaitFor(word+" 2", 1, patience)
	}
	sized("30 100", "opened")
	m.Type("sleep 1000; echo code $?\r")
	m.WaitFor("sleep 1000", 1, patience)
	harness.Eventually(t, patience, "sleep runs", func() error {
		if out := harness.Engine(t, nil, "top", name).Stdout; !strings.Contains(out, "sleep 1000") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	m.Type("\x1a")
	m.WaitFor("Stopped", 1, patience)
	m.Type("fg\r")
	m.WaitFor("sleep 1000", 3, patience) // typed, stopped, and printed by fg
	m.Type("\x03")
	m.Type("echo ended $?\r")
	m.WaitFor("ended 130", 1, patience)
	m.Type("trap 'echo told $((1+1))' WINCH; echo set $((1+1))\r")
	m.WaitFor("set 2", 1, patience)
	// Docker's client sends SIGWINCH to PID 1 before the size has changed. bash
	// loses a SIGWINCH that comes while its trap runs. So the trap may see the old
	// size.
	m.Resize(pty.Winsize{Rows: 40, Cols: 120})
	harness.Eventually(t, patience, "the shell is told", func() error {
		m.Type("\r") // bash runs traps between lines
		if !strings.Contains(m.Shown(), "told 2") {
			return errors.New("not yet")
		}
		return nil
	})
	sized("40 120", "resized")
	m.Type("exit 7\r")
	if code := m.Code(patience); code != 7 {
		t.Errorf("exit code %d", code)
	}
}
