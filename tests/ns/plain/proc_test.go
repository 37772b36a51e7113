// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGraceNeedsItsOwnProc checks that --grace, which signals processes that it finds in
// /proc if gateway-init is not PID 1, does not start with the /proc of another PID
// namespace, or without one. There it would signal strangers.
func TestGraceNeedsItsOwnProc(t *testing.T) {
	script := `"$0" --grace 1 -- true & wait $!`
	shell := func(text string) (string, int) {
		r := start(t, how{before: []string{"sh", "-c", text}, sys: func(a *syscall.SysProcAttr) { a.Cloneflags |= unix.CLONE_NEWNS }})
		code := r.ended()
		return r.stderr(), code
	}
	for name, prepare := range map[string]string{"foreign": "", "missing": "mount -t tmpfs none /proc; "} {
		if text, code := shell(prepare + script); code != 1 || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "gateway-init: error: cannot use /proc") {
			t.Errorf("%s: exit code %d, stderr %q", name, code, text)
		}
	}
	if text, code := shell("mount -t proc none /proc; " + script); code != 0 || text != "" {
		t.Errorf("its own: exit code %d, stderr %q", code, text)
	}
}

// TestGraceEndsHiddenChildren checks that --grace ends what the command left behind under
// hidepid too, because the kernel's list of children is not filtered.
func TestGraceEndsHiddenChildren(t *testing.T) {
	for _, options := range []string{"hidepid=2,gid=1234", "hidepid=4"} {
		r := start(t, how{before: []string{"sh", "-c", fmt.Sprintf(`mount -t proc -o %s none /proc
			"$0" --user 1234:1234 --grace 20 -- sh -c '(trap "echo asked; exit" TERM; echo ready; while :; do sleep .01; done) & sleep .2' & wait $!`, options)},
			sys: func(a *syscall.SysProcAttr) { a.Cloneflags |= unix.CLONE_NEWNS }})
		if code := r.ended(); code != 0 || !strings.Contains(r.stdout(), "asked") {
			t.Errorf("%s: exit code %d: %s", options, code, r.stdout())
		}
	}
}

// TestShellFormKeepsTheCommand checks that an ENTRYPOINT in shell form loses no word of the
// command, which the engine puts behind the shell's script.
func TestShellFormKeepsTheCommand(t *testing.T) {
	r := start(t, how{before: []string{"sh", "-c", `mount -t proc none /proc; exec sh -c "$0 -s --" echo kept "a  b"`},
		sys: func(a *syscall.SysProcAttr) { a.Cloneflags |= unix.CLONE_NEWNS }})
	if code := r.ended(); code != 0 || r.stdout() != "kept a  b\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, r.stdout(), r.stderr())
	}
}

// TestGraceAsksAllGenerations checks that --grace asks a process to end whose parent ends
// by SIGTERM at the same time, also where gateway-init is not PID 1.
func TestGraceAsksAllGenerations(t *testing.T) {
	r := start(t, how{before: []string{"sh", "-c", `mount -t proc none /proc
		"$0" --grace 30 -- sh -c '(sh -c "trap \"echo asked; exit\" TERM; echo ready; while :; do sleep .01; done"; :) & sleep .3' & wait $!`},
		sys: func(a *syscall.SysProcAttr) { a.Cloneflags |= unix.CLONE_NEWNS }})
	r.ended()
	if !strings.Contains(r.stdout(), "asked") {
		t.Errorf("it was not asked: %s", r.stdout())
	}
}
