// SPDX-License-Identifier: Apache-2.0

// Package nonroot tests the differences of a gateway-init that is PID 1 without root.
// Tests of other packages run in such containers as well (tests/harness).
package nonroot

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

const serveBy = 20 * time.Second

func TestMain(m *testing.M) {
	if err := os.Setenv("GATEWAY_TOPOLOGY", "non-root"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// The container works with and without a name, a home or a group for the user. It logs
// once, and says in status, that nothing is separated. A command that requires
// separation fails.
func TestUsers(t *testing.T) {
	for name, c := range map[string]struct {
		user string
		env  map[string]string
		uid  uint32
		dir  string
		home string
	}{
		"without-entry":    {"1000:1000", nil, 1000, "/dev/shm/gateway-init-1000", "/"},
		"group-root":       {"1000", nil, 1000, "/dev/shm/gateway-init-1000", "/"},
		"with-entry":       {"sandbox", nil, harness.SandboxUID, "/dev/shm/gateway-init-9002", "/home/sandbox"},
		"runtime-dir":      {"1000:1000", map[string]string{"XDG_RUNTIME_DIR": "/tmp"}, 1000, "/tmp/gateway-init", "/"},
		"runtime-dir-gone": {"1000:1000", map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"}, 1000, "/dev/shm/gateway-init-1000", "/"},
		"home-gone":        {"1000:1000", map[string]string{"HOME": "/nowhere"}, 1000, "/dev/shm/gateway-init-1000", "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags := harness.NonRootFlags(t)
			flags[1] = c.user
			box := harness.Start(t, harness.Options{Flags: flags, Env: c.env, NoState: true, Command: []string{"demotools", "sleep", "600"},
				Config: map[string]any{"gateway": map[string]any{"working_dir": "/"}}})
			box.WaitServing(serveBy)
			v := box.View()
			r := v.Record
			if !v.Serving || r.Separation != status.SeparationNone || r.RuntimeDir != c.dir || r.Gateway.UID != c.uid || len(r.Hardening) != 0 {
				t.Errorf("serving %t, separation %s in %s, uid %d, hardening %+v", v.Serving, r.Separation, r.RuntimeDir, r.Gateway.UID, r.Hardening)
			}
			if c := r.Caps; strings.Trim(c.Permitted+c.Effective+c.Bounding+c.Ambient+c.Inheritable, "0") != "" || !c.NoNewPrivs || c.Dumpable {
				t.Errorf("privileges: %+v", c)
			}
			if s := box.Ctl("status", "--require-separation"); s.Code != 3 || !strings.Contains(s.Stderr, "not separated") {
				t.Errorf("status --require-separation: %v", s)
			}
			if n := strings.Count(box.Logs(), `"event":"no-separation"`); n != 1 {
				t.Errorf("said %d times that nothing is separated", n)
			}
			box.MustCtl("restart", "--rotate-token")
			if i, err := os.Stat(box.HostPath(c.dir)); err != nil || i.Mode().Perm() != 0o700 {
				t.Errorf("runtime directory: %v, %v", i, err)
			}
		})
	}
}

// The uid does not say whether a process is the gateway's or the agent's. A restart ends
// only the gateway's processes, and the shutdown ends all.
func TestSweep(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{
		Command:   []string{"demotools", "orphan-then", "stubborn", "600", "--", "sleep", "600"},
		Misbehave: map[string]any{"helper": true},
		Config:    map[string]any{"gateway": map[string]any{"stop": map[string]any{"grace": "1s"}}},
	})
	old := box.WaitServing(serveBy)
	agents := func() (pids map[int]bool) {
		pids = map[int]bool{}
		for _, p := range box.Processes() {
			if box.OfAgent(p) && !strings.HasPrefix(p.State, "Z") {
				pids[p.PID] = true
			}
		}
		return pids
	}
	harness.Eventually(t, serveBy, "the agent's command and its orphan", func() error {
		if n := len(agents()); n != 2 {
			return fmt.Errorf("%d processes", n)
		}
		return nil
	})
	before := agents()
	gateways := func() (pids []int) {
		for _, p := range box.Processes() {
			if box.OfGateway(p) {
				pids = append(pids, p.PID)
			}
		}
		return pids
	}
	harness.Eventually(t, serveBy, "the gateway's helpers", func() error {
		if n := len(gateways()); n < 2 {
			return fmt.Errorf("%d processes", n)
		}
		return nil
	})
	former := gateways()
	box.MustCtl("restart")
	box.WaitNewGateway(old.Gateway.Process, serveBy)
	if now := agents(); !maps.Equal(now, before) {
		t.Errorf("the agent had %v, and has %v", before, now)
	}
	for _, pid := range gateways() {
		if slices.Contains(former, pid) {
			t.Errorf("process %d of the former gateway is there", pid)
		}
	}
	box.Stop()
	if code := box.WaitExit(serveBy); code != 143 && code != 137 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(box.Logs(), `"level":"error"`) {
		t.Errorf("an error in the log:\n%s", box.Logs())
	}
}

// With require_separation a container without it ends, with one line that says what to
// do.
func TestRequireSeparation(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Config: map[string]any{"require_separation": true}})
	if code := box.WaitExit(serveBy); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if log := box.Logs(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "require_separation") || !strings.Contains(log, "without --user") {
		t.Errorf("log %q", log)
	}
}

// Scenario G05, without root. Only PID 1's user may ask for anything. Root is
// a controller there (tests/e2e/managed), and without capabilities it sees
// too little for that.
func TestOnlyUserOfPID1MayRequest(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{})
	old := box.WaitServing(serveBy)
	for _, user := range []string{"0:0", "9001:9001", "4242:4242"} {
		for _, verb := range []string{"status", "restart", "stop", "token"} {
			r := box.ExecFlags([]string{"-i"}, user, nil, "gatewayctl", verb).Unwrapped()
			want, code := "only uid 1000", 3
			if user == "0:0" {
				want = "the exec needs SETUID and SETGID"
				if verb == "status" {
					code = 4
				}
			}
			if r.Code != code || !strings.Contains(r.Stdout+r.Stderr, want) || strings.Contains(r.Stdout, "pid ") {
				t.Errorf("%s as %s: %v", verb, user, r)
			}
		}
	}
	for _, verb := range [][]string{{"exec", "demotools", "id"}, {"tui"}} {
		if r := box.Ctl(verb...); r.Code != 3 || !strings.Contains(r.Stderr, "nothing is separated") {
			t.Errorf("%v: %v", verb, r)
		}
	}
	if now := box.Status(); now.Gateway.Process != old.Gateway.Process {
		t.Errorf("the gateway was replaced: %+v", now.Gateway)
	}
	if token := strings.TrimSpace(box.MustCtl("token")); box.HTTP("GET", "/api/whoami", token, "").Code != 200 {
		t.Error("the token that is printed is not the gateway's")
	}
}

// A listener counts as the gateway's only while the gateway's processes have it open. A
// listener of the agent is named, although it has the same uid.
func TestListenerBeside(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Extra: harness.IPv6(),
		Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "200ms"}}}})
	old := box.WaitServing(serveBy)
	box.ExecDetached("sandbox", "demotools", "hold-port", "[::1]:18789")
	box.WaitStatus(serveBy, "the stranger to be named", func(v harness.View) error {
		if v.Serving || v.Reason != "listener-foreign" || len(v.Record.Proof.Foreign) != 1 {
			return fmt.Errorf("serving %t, %s, %+v", v.Serving, v.Reason, v.Record.Proof.Foreign)
		}
		return nil
	})
	box.EndAgent("")
	if now := box.WaitServing(serveBy); now.Gateway.Process != old.Gateway.Process || now.Crashes != 0 {
		t.Errorf("the gateway was replaced: %+v, %d crashes", now.Gateway, now.Crashes)
	}
}

// A working_dir that was made for the gateway's user does not belong to the only user.
// The error names the directory.
func TestWorkingDirOfAnother(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{NoState: true})
	if code := box.WaitExit(serveBy); code != 1 {
		t.Errorf("exit code %d", code)
	}
	const want = "gateway-init: cannot enter the gateway's working_dir /var/lib/gateway as uid 1000: "
	if !strings.Contains(box.Logs(), want) {
		t.Errorf("log: %s", box.Logs())
	}
}
