// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

var gatewayUser = users.User{Name: "gateway", UID: 9001, GID: 9001, Home: "/var/lib/gateway", Shell: "/bin/false"}

// container returns a bootstrap whose steps up to the children have been made.
func container(t *testing.T) *bootstrap {
	t.Helper()
	std, err := openStdio()
	testenv.Must(t, err)
	cfg := &config.Config{
		Gateway: config.Gateway{Command: []string{"/gw", "run"}, WorkingDir: "/srv", TokenEnv: "TOKEN", PassEnv: []string{"TZ"}},
		Sidecars: []config.Sidecar{
			{Name: "helper", Command: []string{"/helper"}, TokenEnv: "HELPER_TOKEN"},
			{Name: "pair", Command: []string{"/pair"}, TokenEnv: "PAIR_TOKEN"},
			{Name: "agent", Command: []string{"/agent"}, TokenEnv: "AGENT_TOKEN"},
			{Name: "stray", Command: []string{"/stray"}, TokenEnv: "STRAY_TOKEN", WorkingDir: "/tmp", PassEnv: []string{"TZ"}},
		},
	}
	sandbox := users.User{Name: "sandbox", UID: 9002, GID: 9002, Groups: []uint32{9002}, Home: "/home/sandbox", Shell: "/bin/sh"}
	operator := users.User{Name: "operator", UID: 9003, GID: 9003, Home: "/home/operator"}
	other := users.User{Name: "other", UID: 9004, GID: 9004, Home: "/", Shell: "/bin/false"}
	return &bootstrap{
		settings: settings{command: []string{"agent", "--x"}}, cfg: cfg, cwd: "/work-dir", stdio: std, nofile: 4096,
		env: environ.Clean([]string{"TOKEN=preset", "TZ=UTC", "SECRET=1", "HELPER_TOKEN=preset"}),
		users: identities{gateway: gatewayUser, sandbox: sandbox, operator: operator,
			sidecars: []users.User{gatewayUser, operator, sandbox, other}},
	}
}

// TestChildren checks UIDs, descriptors, environments and the token, which are the
// whole of the separation. One mix-up here gives the agent the token.
func TestChildren(t *testing.T) {
	b := container(t)
	b.scores.gateway, b.scores.agent = 100, 1000
	gateway, command, worker, sidecars := b.gateway(), b.command(), b.worker(), b.sidecars()

	if gateway.UID != 9001 || gateway.Stdio != b.stdio.gateway || gateway.Spec.Dir != "/srv" || gateway.Spec.Umask != 0o007 ||
		gateway.Spec.Nofile != 4096 || gateway.Spec.Foreground || !slices.Equal(gateway.Spec.Argv, []string{"/gw", "run"}) {
		t.Errorf("gateway: %+v", gateway)
	}
	want := launch.Token{Env: "TOKEN"} // the supervisor adds the file and its digest
	if got := gateway.Spec.Token; got == nil || *got != want {
		t.Errorf("the gateway's token: %+v, want %+v", got, want)
	}

	if command.UID != 9002 || command.Stdio != b.stdio.container || command.Spec.Token != nil ||
		command.Spec.Dir != "/work-dir" || command.Spec.Umask != 0o022 || !slices.Equal(command.Spec.Argv, []string{"agent", "--x"}) ||
		!slices.Equal(command.Groups, []uint32{9002}) {
		t.Errorf("command: %+v", command)
	}
	if command.Spec.OOMAdj <= gateway.Spec.OOMAdj || gateway.Spec.OOMAdj <= 0 {
		t.Errorf("without memory the kernel must end the agent (%d) before the gateway (%d) before PID 1 (0)",
			command.Spec.OOMAdj, gateway.Spec.OOMAdj)
	}

	if worker.UID != 9001 || worker.Stdio != b.stdio.worker || worker.Spec.Token != nil || len(worker.Spec.Env) != 0 {
		t.Errorf("worker: %+v", worker)
	}

	helper, pair, agent, stray := sidecars[0], sidecars[1], sidecars[2], sidecars[3]
	if helper.UID != 9001 || helper.Spec.Token == nil || helper.Spec.Token.Env != "HELPER_TOKEN" || helper.Spec.Dir != "/" {
		t.Errorf("helper: %+v", helper)
	}
	if want.Env = "HELPER_TOKEN"; *helper.Spec.Token != want {
		t.Errorf("helper's token: %+v, want %+v", helper.Spec.Token, want)
	}
	want.Env = "PAIR_TOKEN"
	if pair.UID != 9003 || pair.Spec.Token == nil || *pair.Spec.Token != want {
		t.Errorf("the operator's has the token: %+v", pair)
	}
	if agent.UID != 9002 || agent.Spec.Token != nil {
		t.Errorf("the agent's sidecar: %+v", agent)
	}
	if stray.UID != 9004 || stray.Spec.Token != nil || stray.Spec.Dir != "/tmp" || !slices.Contains(stray.Spec.Env, "TZ=UTC") {
		t.Errorf("a sidecar of another user: %+v", stray)
	}
	for name, env := range map[string][]string{"gateway": gateway.Spec.Env, "command": command.Spec.Env, "helper": helper.Spec.Env,
		"pair": pair.Spec.Env, "agent": agent.Spec.Env, "stray": stray.Spec.Env} {
		if count(env, "TOKEN") != 0 {
			t.Errorf("%s has the token's variable before the re-exec child adds it: %q", name, env)
		}
		if name != "command" && (count(env, "SECRET") != 0 || count(env, "HELPER_TOKEN") != 0) {
			t.Errorf("%s inherits what it was not given: %q", name, env)
		}
	}
	for i, s := range sidecars {
		if s.Stdio[0] != b.stdio.worker[0] {
			t.Errorf("sidecar %d reads the container's stdin", i)
		}
	}
}

// TestOtherUIDs checks that each other user's processes end with the container. The
// gateway's uid is not listed, because it has its own rules.
func TestOtherUIDs(t *testing.T) {
	b := container(t)
	if got := b.otherUIDs(); !slices.Equal(got, []uint32{9002, 9003, 9004}) {
		t.Errorf("got %v", got)
	}
	b.users.sidecars = []users.User{gatewayUser, b.users.sandbox, b.users.operator}
	if got := b.otherUIDs(); !slices.Equal(got, []uint32{9002, 9003}) {
		t.Errorf("got %v", got)
	}
}

// TestClampNofile checks that a limit above the engine's is lowered and named.
func TestClampNofile(t *testing.T) {
	var have syscall.Rlimit
	testenv.Must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have))
	cases := map[string]struct{ want, got uint64 }{
		"as-it-is": {0, 0},
		"lower":    {16, 16},
		"equal":    {have.Max, have.Max},
		"higher":   {have.Max + 1, have.Max},
	}
	if have.Max+1 == 0 {
		delete(cases, "higher") // nothing is above infinity
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := &bootstrap{cfg: &config.Config{Gateway: config.Gateway{Nofile: c.want}}}
			if got := b.clampNofile(); got != c.got || (len(b.hardening) == 1) != (name == "higher") {
				t.Errorf("got %d, hardening %v", got, b.hardening)
			}
		})
	}
}

// TestHardening checks that each right beyond the README's flags is named, each with
// its flag, and no other.
func TestHardening(t *testing.T) {
	for name, c := range map[string]struct {
		state privs.State
		want  []string
	}{
		"as-in-the-readme": {privs.State{Bounding: privs.Needed | 1<<unix.CAP_SETPCAP, NoNewPrivs: true}, nil},
		"fewer":            {privs.State{NoNewPrivs: true}, nil},
		"one-more":         {privs.State{Bounding: privs.Needed | 1<<1, NoNewPrivs: true}, []string{"engine-capabilities"}},
		"privileged":       {privs.State{Bounding: 1<<41 - 1}, []string{"engine-capabilities", "engine-no-new-privs"}},
	} {
		t.Run(name, func(t *testing.T) {
			var h hardening
			h.engine(c.state, privs.Needed, false)
			h.engine(c.state, privs.Needed, false) // each name is there once
			var got []string
			for _, i := range h {
				if strings.HasPrefix(i.Name, "engine-") {
					got = append(got, i.Name)
				}
				if !strings.Contains(i.Detail, "run with --") {
					t.Errorf("%s does not say what to do: %q", i.Name, i.Detail)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	got := caps(privs.State{Permitted: privs.Needed, Bounding: 1, Threads: 3, NoNewPrivs: true})
	if got.Permitted != "00000000000000e1" || got.Bounding != "0000000000000001" || got.Ambient != "0000000000000000" || got.Threads != 3 || !got.NoNewPrivs {
		t.Errorf("got %+v", got)
	}
}

// count returns the number of entries of env with this name.
func count(env []string, name string) (n int) {
	for _, kv := range env {
		if strings.HasPrefix(kv, name+"=") {
			n++
		}
	}
	return n
}

// TestRootless checks that without root all users of the configuration are ours.
func TestRootless(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Must(t, syscall.Setgroups(nil))
	testenv.Must(t, syscall.Setgid(4243))
	testenv.Must(t, syscall.Setuid(4242))
	b := container(t)
	b.rootless = true
	var err error
	b.cfg.Prepare = []config.Prepare{{Path: "/tmp/x", Owner: "nobody-knows-it"}}
	b.users, err = identify(b.cfg, environ.Clean([]string{"HOME=/h"}), true)
	testenv.Must(t, err)
	if len(b.users.sidecars) != len(b.cfg.Sidecars) || len(b.users.owners) != 1 {
		t.Fatalf("users %+v", b.users)
	}
	command, gateway, sidecars := b.command(), b.gateway(), b.sidecars()
	if command.UID != 4242 || gateway.UID != 4242 || gateway.GID != 4243 || command.Spec.Token != nil || gateway.Spec.Token == nil {
		t.Errorf("command %+v, gateway %+v", command, gateway)
	}
	if pair := sidecars[1]; pair.UID != 4242 || pair.Spec.Token == nil {
		t.Errorf("the operator's sidecar: %+v", pair)
	}
	if got := b.otherUIDs(); !slices.Equal(got, []uint32{4242}) {
		t.Errorf("who ends with the container: %v", got)
	}
	if d := b.prepareEntries(); d[0].UID != 4242 || d[0].GID != 4243 {
		t.Errorf("prepared for %+v", d)
	}
	var h hardening
	h.engine(privs.State{Bounding: 1, NoNewPrivs: true}, 0, true)
	if len(h) == 0 || h[0].Name != "engine-capabilities" || strings.Contains(h[0].Detail, "--cap-add") {
		t.Errorf("hardening %+v", h)
	}
}

// TestNothingCanBeStarted checks that boot ends if no process can become another user.
func TestNothingCanBeStarted(t *testing.T) {
	for name, c := range map[string]struct {
		effective uint64
		want      string
	}{
		"all":       {privs.Needed, ""},
		"no-chown":  {privs.Needed &^ (1 << unix.CAP_CHOWN), ""},
		"no-setuid": {privs.Needed &^ (1 << unix.CAP_SETUID), "cannot start a process as another user: SETUID not granted: run with --cap-add SETUID (compose: cap_add: [SETUID]; Kubernetes: capabilities.add: [SETUID])"},
		"none": {0, "cannot start a process as another user: SETGID and SETUID not granted: run with --cap-add CHOWN --cap-add KILL --cap-add SETGID --cap-add SETUID " +
			"(compose: cap_add: [CHOWN, KILL, SETGID, SETUID]; Kubernetes: capabilities.add: [CHOWN, KILL, SETGID, SETUID])"},
	} {
		got := ""
		if err := checkGranted(privs.State{Effective: c.effective}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got  %s\nwant %s", name, got, c.want)
		}
	}
}
