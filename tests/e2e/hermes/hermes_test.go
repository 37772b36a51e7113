// SPDX-License-Identifier: Apache-2.0

// Package hermes runs the shipped profile of Hermes (image/profiles/hermes.json)
// with a stand-in, because the real program is not available here. It tests the
// profile, and how PID 1 treats the exit codes, key and helpers of Hermes.
package hermes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// object is a part of the configuration.
type object = map[string]any

// serveBy bounds a start on a loaded machine.
const serveBy = 20 * time.Second

// Ports and users of the profile.
const (
	publishedPort = 8642
	dashboardPort = 9119
)

// fixture is a container with the profile.
type fixture struct {
	*harness.Container
	home string // HERMES_HOME, on the host
}

// start runs the profile with over merged into it, leaving out the named programs.
func start(t *testing.T, over object, without ...string) *fixture {
	t.Helper()
	return startWith(t, nil, over, without...)
}

// startWith is start with more flags of docker run.
func startWith(t *testing.T, flags []string, over object, without ...string) *fixture {
	t.Helper()
	dir := harness.HostDir(t, "hermes", 0, 0o755)
	program := filepath.Join(dir, "standin")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./standin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the stand-in: %v\n%s", err, out)
	}
	f := &fixture{home: harness.HostDir(t, "home", harness.GatewayUID, 0o700)}
	mounts := map[string]string{
		"/usr/local/bin/hermes": program, "/var/lib/hermes": f.home,
	}
	for _, path := range without {
		delete(mounts, path)
	}
	o := harness.Options{RawConfig: harness.MergedJSON(t, "image/profiles/hermes.json", over), Extra: slices.Clone(flags)}
	for to, from := range mounts {
		o.Extra = append(o.Extra, "-v", from+":"+to)
	}
	f.Container = harness.Start(t, o)
	return f
}

// waitFor waits until a sidecar has this state.
func (f *fixture) waitFor(name, state string) status.Child {
	var found status.Child
	f.WaitStatus(serveBy, name+" to be "+state, func(v harness.View) error {
		for _, s := range v.Record.Sidecars {
			if s.Name == name && s.State == state {
				found = s
				return nil
			}
		}
		return fmt.Errorf("sidecars %+v", v.Record.Sidecars)
	})
	return found
}

// answers waits until a port answers with this status, with the token or without.
func (f *fixture) answers(t *testing.T, port int, token string, want int) {
	t.Helper()
	harness.Eventually(t, serveBy, fmt.Sprintf("%d from port %d", want, port), func() error {
		if a := f.HTTPOn(port, "GET", "/v1/models", token, ""); a.Code != want {
			return fmt.Errorf("got %d %v", a.Code, a.Err)
		}
		return nil
	})
}

// environ returns the environment that a process was started with.
func (f *fixture) environ(t *testing.T, pid int) []string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", f.HostPIDOf(pid)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

// TestProfile checks that the key is in the gateway's environment alone. The published port
// leads to the gateway, whether containers have IPv6 or not.
func TestProfile(t *testing.T) {
	t.Run("ipv6", func(t *testing.T) {
		t.Parallel()
		f := startWith(t, harness.IPv6(), nil)
		profile(t, f)
		f.Tools("sandbox", "connect", fmt.Sprintf("[::1]:%d", publishedPort))
	})
	t.Run("without-ipv6", func(t *testing.T) {
		t.Parallel()
		f := startWith(t, harness.NoIPv6(), nil)
		profile(t, f)
		if r := f.Exec("sandbox", "demotools", "connect", fmt.Sprintf("[::1]:%d", publishedPort)); r.Code == 0 {
			t.Error("it has IPv6")
		}
	})
}

func profile(t *testing.T, f *fixture) {
	t.Helper()
	r := f.WaitServing(serveBy)
	token := f.Token()
	if r.Proof.Auth != status.Held || r.Gateway.Port == publishedPort || r.Publish == nil || !r.Publish.Proven || r.Gateway.UID != harness.GatewayUID {
		t.Errorf("proof %+v, gateway %+v", r.Proof, r.Gateway)
	}
	keys := slices.DeleteFunc(f.environ(t, r.Gateway.PID), func(kv string) bool { return !strings.HasPrefix(kv, "API_SERVER_KEY=") })
	if len(token) != 64 || strings.Trim(token, "0123456789abcdef") != "" || !slices.Equal(keys, []string{"API_SERVER_KEY=" + token}) {
		t.Errorf("a token of %d bytes, and %d entries of API_SERVER_KEY", len(token), len(keys))
	}
	dashboard := f.waitFor("dashboard", "running")
	for _, s := range []status.Child{*r.Publish.Relay, dashboard} {
		if all := strings.Join(f.environ(t, s.PID), " "); strings.Contains(all, token) {
			t.Errorf("%s was given the key", s.Name)
		}
	}
	f.answers(t, publishedPort, "", 401)
	f.answers(t, publishedPort, token, 200)
	f.answers(t, dashboardPort, "", 404)
	f.MustCtl("restart", "--rotate-token")
	f.answers(t, publishedPort, token, 401)
	f.answers(t, publishedPort, f.Token(), 200)
}

// TestRequestedRestart checks that requested restarts do not count as crashes.
// Hermes exits with 1 on SIGTERM.
func TestRequestedRestart(t *testing.T) {
	t.Parallel()
	f := start(t, object{"gateway": object{"restart": object{"backoff_min": "1h", "backoff_max": "1h"}}}) // any failure would show
	old := f.WaitServing(serveBy)
	for range 10 {
		f.MustCtl("restart")
		now := f.WaitNewGateway(old.Gateway.Process, serveBy)
		if e := now.LastExit; now.Crashes != 0 || now.Backoff != nil || e == nil || e.Code != 1 || !e.Requested || e.Failure {
			t.Errorf("%d crashes, backoff %+v, last exit %+v", now.Crashes, now.Backoff, e)
		}
		old = now
	}
}

// TestOwnExits checks that 75 is a planned restart, and that 1 without a request is
// a crash.
func TestOwnExits(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	old := f.WaitServing(serveBy)
	for _, c := range []struct {
		signal  syscall.Signal
		code    int
		crashes int
		text    string
	}{
		{syscall.SIGUSR1, 75, 0, "planned restart"},
		{syscall.SIGTERM, 1, 1, "docker logs"},
	} {
		if err := syscall.Kill(f.HostPIDOf(old.Gateway.PID), c.signal); err != nil {
			t.Fatal(err)
		}
		now := f.WaitNewGateway(old.Gateway.Process, serveBy)
		e := now.LastExit
		if e == nil || e.Code != c.code || e.Requested || e.Failure != (c.crashes > 0) || !strings.Contains(e.Text, c.text) || now.Crashes != c.crashes {
			t.Errorf("after signal %d: last exit %+v, %d crashes", c.signal, e, now.Crashes)
		}
		old = now
	}
}

// Scenario L12, with Hermes. A missing helper, and one whose port the agent has taken,
// never keep the gateway from being started again.
func TestHermesSidecarsNeverBlockRestart(t *testing.T) {
	for name, c := range map[string]struct {
		without []string
		taken   []int
		states  map[string]string
	}{
		"running":    {nil, nil, map[string]string{"dashboard": "running"}},
		"port-taken": {nil, []int{dashboardPort}, map[string]string{"dashboard": "backoff"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, nil, c.without...)
			f.WaitServing(serveBy)
			f.MustCtl("stop")
			for _, port := range c.taken {
				f.ExecDetached("sandbox", "/usr/local/bin/demotools", "hold-port", "-http", fmt.Sprintf("127.0.0.1:%d", port))
				f.answers(t, port, "", 200)
			}
			f.MustCtl("start")
			old := f.WaitServing(serveBy)
			for range 3 {
				for helper, state := range c.states {
					f.waitFor(helper, state)
				}
				f.MustCtl("restart")
				now := f.WaitNewGateway(old.Gateway.Process, serveBy)
				if err := syscall.Kill(f.HostPIDOf(now.Gateway.PID), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				old = f.WaitNewGateway(now.Gateway.Process, serveBy)
			}
			f.answers(t, publishedPort, f.Token(), 200)
		})
	}
}

// TestOwnKey checks that a key in Hermes' own .env, which overrides the
// environment, is found and named.
func TestOwnKey(t *testing.T) {
	t.Parallel()
	f := start(t, object{"gateway": object{"ready": object{"timeout": "5s"}}})
	f.WaitServing(serveBy)
	file := filepath.Join(f.home, ".env")
	err := os.WriteFile(file, []byte("API_SERVER_KEY=change-me-local-dev\n"), 0o600)
	if err := errors.Join(err, os.Chown(file, harness.GatewayUID, harness.GatewayUID)); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"restart", "health"} {
		if r := f.Ctl(verb); r.Code != 4 || !strings.Contains(r.Stdout+r.Stderr, "auth-mismatch") {
			t.Errorf("%s: %v", verb, r)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	f.MustCtl("restart")
	f.WaitServing(serveBy)
}
