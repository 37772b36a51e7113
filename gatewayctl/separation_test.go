// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestRequireSeparation checks that the exit code reports missing separation, but
// first a gateway that does not serve.
func TestRequireSeparation(t *testing.T) {
	for name, c := range map[string]struct {
		separation string
		down       bool
		args       []string
		code       int
		stdout     string
		says       string
	}{
		"uid":            {"uid", false, nil, exitOK, "SERVING", ""},
		"none":           {"none", false, nil, exitRefused, "separation", "not separated"},
		"none-json":      {"none", false, []string{"--json"}, exitRefused, `"exit_code":3`, "not separated"},
		"none-and-down":  {"none", true, nil, exitNotServing, "STOPPED", ""},
		"watch-too":      {"none", false, []string{"--watch"}, exitUsage, "", "do not go together"},
		"not-demanded":   {"none", false, []string{"--require-separation=false"}, exitOK, "separation", ""},
		"demanded-twice": {"none", false, []string{"--require-separation"}, exitRefused, "separation", "not separated"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.up()
			w.record.Separation = c.separation
			if c.down {
				w.record.State, w.record.Goal = "stopped", "stop"
			}
			w.publish()
			w.want(w.run(append([]string{"status", "--require-separation"}, c.args...)...), c.code, c.stdout, c.says)
		})
	}
}

// TestNoClientsWithoutRoot checks that no operator gets the token without root.
func TestNoClientsWithoutRoot(t *testing.T) {
	for _, verb := range [][]string{{"exec", "true"}, {"tui"}} {
		w := newFixture(t)
		w.up()
		w.publish()
		w.euid, w.owner = 1000, 1000
		w.want(w.run(verb...), exitRefused, "", "nothing is separated")
	}
}

// TestOwnerIsPID1 checks that only PID 1's user has rights, and that a message names it.
func TestOwnerIsPID1(t *testing.T) {
	w := newFixture(t)
	w.euid, w.owner = 0, 1000
	w.want(w.run("restart"), exitRefused, "", "only uid 1000")
	w.euid, w.owner = 1000, 0
	w.want(w.run("restart"), exitRefused, "", "only root may")
}

// TestOwnerOf checks that a uid counts only if the process has no other.
func TestOwnerOf(t *testing.T) {
	if got := ownerOf(os.Getpid()); got != uint32(os.Geteuid()) {
		t.Errorf("our own is %d", got)
	}
	if got := ownerOf(1 << 22); got != 0 {
		t.Errorf("nobody's is %d", got)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("sleep", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
	must(t, cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if got := ownerOf(cmd.Process.Pid); got != 4242 {
		t.Errorf("a child's is %d", got)
	}
}

// TestRuntimeDirsWithoutRoot checks the user's own places of a PID 1 without root.
func TestRuntimeDirsWithoutRoot(t *testing.T) {
	h := newHost(nil)
	h.withoutRoot(1000, []string{"XDG_RUNTIME_DIR=/run/user/1000"})
	if got := strings.Join(h.defaults(), " "); got != "/run/user/1000/gateway-init /dev/shm/gateway-init-1000" {
		t.Errorf("got %s", got)
	}
	if h.owner != 1000 {
		t.Errorf("the owner is %d", h.owner)
	}
}

// TestOwnerBelowForeignPID1 checks that a user with a supervisor of its own is its owner,
// below another user's PID 1. Files that another user put there do not count.
func TestOwnerBelowForeignPID1(t *testing.T) {
	const me = testenv.Gateway
	for name, c := range map[string]struct {
		uid  int // the directory's owner; 0 for no directory
		file string
		want uint32
	}{
		"own":         {me, status.Name, me},
		"own-control": {me, controlDir, me},
		"empty":       {me, "", 0},
		"missing":     {0, "", 0},
		"stranger's":  {testenv.Stranger, status.Name, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, syscall.CLONE_NEWNS) {
				return
			}
			must(t, syscall.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
			if c.uid != 0 {
				must(t, os.Mkdir("/mnt/gateway-init", 0o755))
				if c.file != "" {
					must(t, os.WriteFile("/mnt/gateway-init/"+c.file, nil, 0o600))
				}
				must(t, os.Chown("/mnt/gateway-init", c.uid, c.uid))
			}
			must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(me), syscall.Setuid(me)))
			if got := findOwner([]string{"XDG_RUNTIME_DIR=/mnt"}); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// TestMissingWithoutRoot checks that a message names the environment, on which the
// supervisor's files depend.
func TestMissingWithoutRoot(t *testing.T) {
	w := newFixture(t)
	w.owner = 1000
	w.defaults = func() []string { return []string{"/dev/shm/none"} }
	if _, err := w.openRuntime(); err == nil || !strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
		t.Errorf("%v", err)
	}
}
