// SPDX-License-Identifier: Apache-2.0

// Package managed tests root as the controller of a gateway-init without root below a
// foreign PID 1. The packages lifecycle, continuity, proof and open test such
// containers as the supervisor's user (tests/harness/doc.go).
package managed

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

const serveBy = 20 * time.Second

func TestMain(m *testing.M) {
	if err := os.Setenv("GATEWAY_TOPOLOGY", "managed"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// root runs gatewayctl as root in the container.
func root(box *harness.Container, args ...string) harness.Result {
	return box.ExecFlags([]string{"-i"}, "0:0", nil, append([]string{"gatewayctl"}, args...)...)
}

var idle = []string{"demotools", "sleep", "600"}

// root runs every command and proves its result. The supervisor records it, and never
// as a failure.
func TestController(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle})
	first := box.WaitServing(serveBy)
	pid := first.Gateway.PID
	says := func(want string, code int, args ...string) {
		t.Helper()
		r := root(box, args...).Unwrapped()
		if r.Code != code || !strings.Contains(r.Stdout+r.Stderr, want) {
			t.Errorf("%v: %v\nwant %d and %q", args, r, code, want)
		}
	}
	says("topology      managed", 0, "status")
	says(`"topology":"managed"`, 0, "status", "--json")
	says("is not separated", 3, "status", "--require-separation")
	says(fmt.Sprintf("serving: pid %d, port 18789", pid), 0, "health")
	says(fmt.Sprintf("serving: pid %d, port 18789", pid), 0, "wait")
	says(fmt.Sprintf("serving: pid %d, proven", pid), 0, "probe")
	says(fmt.Sprintf("already running: pid %d, proven", pid), 0, "recover")
	says(fmt.Sprintf("already ours: pid %d, proven", pid), 0, "adopt")
	says("nothing is separated", 3, "exec", "demotools", "id")
	says("nothing is separated", 3, "restart", "--rotate-token", "--revoke-devices")
	if r := root(box, "token"); r.Code != 0 || strings.TrimSpace(r.Stdout) != box.Token() {
		t.Errorf("token: %v", r)
	}

	says(fmt.Sprintf("restarted: pid %d → ", pid), 0, "restart")
	second := box.WaitNewGateway(first.Gateway.Process, serveBy)
	if e := second.LastExit; e == nil || e.PID != pid || !e.Requested || e.Failure || second.Crashes != 0 {
		t.Errorf("the exit that root asked for: %+v, %d crashes", e, second.Crashes)
	}
	harness.Eventually(t, serveBy, "the authorized exit in the log", func() error {
		if log := box.Logs(); strings.Count(log, `"event":"exit-authorized"`) != 1 || strings.Contains(log, `"event":"backoff"`) {
			return errors.New(log)
		}
		return nil
	})
	if box.Exec("0:0", "demotools", "stat", "/dev/.gateway-init/exit-authorization").Code == 0 {
		t.Error("the authorization is left")
	}

	old := box.Token()
	says("proven, with a new token\n", 0, "restart", "--rotate-token")
	if box.Token() == old {
		t.Error("the token is the old one")
	}
	says("stopped: pid", 0, "stop")
	says("not-running", 4, "status")
	says("not-running", 4, "health")
	says("started: pid", 0, "recover") // the supervisor is asked, as its user
	says("stopped: pid", 0, "stop")
	says("started: pid", 0, "restart")
	says("stopped: pid", 0, "stop")
	says("started: pid", 0, "start")
	if now := box.WaitServing(serveBy); now.Crashes != 0 {
		t.Errorf("%d crashes", now.Crashes)
	}
}

// recover replaces a gateway that does not answer, with SIGKILL if necessary. A restart
// waits for a gateway that starts slowly, and names its stage at the deadline.
func TestRecoverAndDeadline(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle, Config: map[string]any{"gateway": map[string]any{
		"stop": map[string]any{"grace": "300ms"}, "ready": map[string]any{"timeout": "3s"},
		"health": map[string]any{"timeout": "500ms", "interval": "600s"}}}})
	old := box.WaitServing(serveBy)
	box.Tools("", "sigsend", fmt.Sprint(old.Gateway.PID), "STOP")
	if r := root(box, "health"); r.Code != 4 || !strings.Contains(r.Stdout, "not serving") {
		t.Errorf("health of a stopped gateway: %v", r)
	}
	if r := root(box, "recover"); r.Code != 0 || !strings.Contains(r.Stdout, fmt.Sprintf("restarted: pid %d → ", old.Gateway.PID)) {
		t.Errorf("recover: %v", r)
	}
	now := box.WaitNewGateway(old.Gateway.Process, serveBy)
	// It got SIGCONT with its stop signal, so it did not have to be killed.
	if now.Crashes != 0 || now.LastExit.Signal != 0 || now.LastExit.Code != 0 || !now.LastExit.Requested {
		t.Errorf("%+v, %d crashes", now.LastExit, now.Crashes)
	}
	box.SetMisbehave(map[string]any{"ready_after": "600s"})
	r := root(box, "restart", "--timeout", "3s")
	if r.Code != 6 || !strings.Contains(r.Stderr, "while proving pid") || !strings.Contains(r.Stderr, "status 503") {
		t.Errorf("restart of a gateway that is never ready: %v", r)
	}
}

// Each command waits for a supervisor that does not answer, until its deadline. A
// supervisor that goes on afterwards finds the request withdrawn or done.
func TestAskedInVain(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle})
	old := box.WaitServing(serveBy)
	box.Tools("", "sigsend", fmt.Sprint(old.Init.PID), "STOP")
	for _, args := range [][]string{{"stop"}, {"start"}, {"restart", "--rotate-token"}, {"restart", "--drain", "1s"}} {
		r := root(box, append(args, "--timeout", "2s")...)
		if r.Code != 6 || r.Stdout != "" || !strings.Contains(r.Stderr, "deadline") {
			t.Errorf("%v: %v", args, r)
		}
	}
	box.Tools("", "sigsend", fmt.Sprint(old.Init.PID), "CONT")
	harness.Eventually(t, serveBy, "a restart", func() error {
		if r := root(box, "restart"); r.Code != 0 {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
}

// A stop cuts a drain short that another controller waits for.
func TestStopDuringDrain(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle, Config: map[string]any{"gateway": map[string]any{
		"stop": map[string]any{"grace": "300ms"}}}})
	box.WaitServing(serveBy)
	box.SetMisbehave(map[string]any{"ignore_term": true})
	if r := root(box, "restart"); r.Code != 0 { // it misbehaves from its start
		t.Fatalf("%v", r)
	}
	old := box.WaitServing(serveBy)
	drain := make(chan harness.Result)
	go func() { drain <- root(box, "restart", "--drain", "5m") }()
	box.WaitStatus(serveBy, "the drain", func(v harness.View) error {
		if v.Record.State != status.Stopping {
			return fmt.Errorf("%s", v.Record.State)
		}
		return nil
	})
	if r := root(box, "stop", "--timeout", "20s"); r.Code != 0 || r.Stdout != fmt.Sprintf("stopped: pid %d\n", old.Gateway.PID) {
		t.Errorf("stop: %v", r)
	}
	if r := <-drain; r.Code == 0 || r.Stdout != "" {
		t.Errorf("the drained restart: %v", r)
	}
}

// Of two simultaneous adopts one adopts, and the other finds our gateway.
func TestAdoptedTwice(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle})
	box.WaitServing(serveBy)
	if r := root(box, "stop"); r.Code != 0 {
		t.Fatalf("%v", r)
	}
	box.ExecFlags([]string{"-d", "-e", "OPENCLAW_GATEWAY_TOKEN=somebody-elses"}, "0:0", nil, "demogateway")
	harness.Eventually(t, serveBy, "the gateway that was started by hand", func() error {
		if r := box.HTTP("GET", "/readyz", "", ""); r.Code != 200 {
			return fmt.Errorf("%d", r.Code)
		}
		return nil
	})
	results := make(chan harness.Result)
	for range 2 {
		go func() { results <- root(box, "adopt") }()
	}
	adopted := 0
	for range 2 {
		r := <-results
		if strings.HasPrefix(r.Stdout, "adopted: ") {
			adopted++
		} else if !strings.HasPrefix(r.Stdout, "already ours: ") {
			t.Errorf("%v", r)
		}
	}
	if now := box.WaitServing(serveBy); adopted != 1 || now.Crashes != 0 {
		t.Errorf("%d adopted, %d crashes", adopted, now.Crashes)
	}
}

// adopt does not replace our own gateway if it cannot be reached. It says what that
// gateway lacks and leaves it alone.
func TestAdoptOfOurs(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle,
		Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "1h"}}}})
	old := box.WaitServing(serveBy)
	box.Misbehave(map[string]any{"deaf_after": "0s"})
	if r := root(box, "adopt"); r.Code != 4 || !strings.Contains(r.Stderr, "listener-missing") {
		t.Errorf("%v", r)
	}
	if now := box.Status(); now.Gateway.Process != old.Gateway.Process {
		t.Errorf("%+v became %+v", old.Gateway, now.Gateway)
	}
}

// Ten simultaneous controllers queue up. Each gets a definite answer, one after the
// other, and one gateway is left.
func TestControllersQueue(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle})
	box.WaitServing(serveBy)
	results := make(chan harness.Result)
	for range 10 {
		go func() { results <- root(box, "restart") }()
	}
	seen := map[string]bool{}
	for range 10 {
		r := <-results
		if r.Code != 0 || seen[r.Stdout] {
			t.Errorf("%v", r)
		}
		seen[r.Stdout] = true
	}
	if now := box.WaitServing(serveBy); now.Crashes != 0 {
		t.Errorf("%d crashes", now.Crashes)
	}
}

// Without the right to change to the gateway's user, root sees too little. gatewayctl
// says which capabilities it needs.
func TestWithoutSetuid(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle})
	box.WaitServing(serveBy)
	for verb, code := range map[string]int{"restart": 3, "status": 4, "stop": 3} {
		r := box.ExecFlags([]string{"-i"}, "0:0", nil, "demotools", "without-caps", "/usr/local/bin/gatewayctl", verb).Unwrapped()
		if r.Code != code || !strings.Contains(r.Stdout+r.Stderr, "the exec needs SETUID and SETGID") {
			t.Errorf("%s: %v", verb, r)
		}
	}
}

// If two processes look like the supervisor, root believes neither. A root process with
// its name does not count, because root sees which program it executes.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle})
	old := box.WaitServing(serveBy)
	decoy := []string{"/usr/local/bin/demotools", "decoy", "gateway-init", "/usr/local/sbin/gateway-init"}
	for _, c := range []struct {
		user string
		want string // empty if the commands work
	}{
		{"", "both look like the supervisor"},
		{"0:0", ""},
	} {
		// A process that an exec starts has only PID 1 as its ancestor.
		box.ExecFlags([]string{"-d"}, c.user, nil, append([]string{"demotools", "orphan"}, decoy...)...)
		decoys := func() (pids []int) {
			for _, p := range box.Processes() {
				if p.Comm == "gateway-init" && p.PID != old.Init.PID && !strings.HasPrefix(p.State, "Z") {
					pids = append(pids, p.PID)
				}
			}
			return pids
		}
		harness.Eventually(t, serveBy, "the decoy", func() error {
			if len(decoys()) == 0 {
				return errors.New("nobody")
			}
			return nil
		})
		for _, verb := range []string{"probe", "restart", "stop", "status"} {
			r := root(box, verb).Unwrapped()
			if c.want == "" && verb == "probe" && r.Code != 0 || c.want != "" && (r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, c.want)) {
				t.Errorf("%s: %v", verb, r)
			}
			if c.want == "" {
				break
			}
		}
		for _, pid := range decoys() {
			box.Exec("0:0", "demotools", "sigsend", fmt.Sprint(pid), "KILL")
		}
		harness.Eventually(t, serveBy, "the way it was", func() error {
			if r := root(box, "health"); r.Code != 0 {
				return fmt.Errorf("%v", r)
			}
			return nil
		})
	}
	if now := box.WaitServing(serveBy); now.Gateway.Process != old.Gateway.Process {
		t.Errorf("the gateway was replaced: %+v", now.Gateway)
	}
}
