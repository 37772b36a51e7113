// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// A client has the operator's ids, no capability, one token and one terminal. The
// kernel's files say so.
func TestClientProcess(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{Env: map[string]string{tokenEnv: "preset", "NODE_OPTIONS": "--require /tmp/evil.js"}})
	m := tui(t, c)
	m.WaitFor(greeting, 1, boot)
	p := onlyClient(t, c)
	none := "0000000000000000"
	ids := strings.Repeat(fmt.Sprint(harness.OperatorUID)+"\t", 4)
	fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", p.HostPID))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Uid": strings.TrimSpace(ids), "Gid": strings.TrimSpace(ids), "Groups": fmt.Sprint(harness.OperatorUID), "Umask": "0077", "NoNewPrivs": "1",
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "SigIgn": none,
	} {
		if fields[name] != want {
			t.Errorf("%s is %q, want %q", name, fields[name], want)
		}
	}
	env := environ(t, p.HostPID)
	tokens := 0
	for _, kv := range env {
		if tokenEntry.MatchString(kv) {
			tokens++
		}
	}
	var names []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		names = append(names, name)
	}
	want := []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", tokenEnv}
	slices.Sort(names)
	if slices.Sort(want); tokens != 1 || !slices.Equal(names, want) || !slices.Contains(env, tokenEnv+"="+c.Token()) {
		t.Errorf("%d tokens among %q, want %q", tokens, names, want)
	}
	checkDescriptors(t, c, p)
	// The relay keeps three capabilities.
	for _, relay := range c.Processes() {
		if relay.Comm != "gatewayctl" {
			continue
		}
		fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", relay.HostPID))
		if err != nil || fields["CapBnd"] != none || fields["CapPrm"] != "00000000000000e0" || fields["NoNewPrivs"] != "1" {
			t.Errorf("the relay: %v, %v", fields, err) // KILL, and SETUID and SETGID for the temporary home
		}
		if slices.ContainsFunc(environ(t, relay.HostPID), func(kv string) bool { return strings.Contains(kv, c.Token()) }) {
			t.Error("the relay's environment has the token")
		}
	}
	m.Type("exit\r")
	if code := m.Code(boot); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// checkDescriptors checks that p has one terminal, which is not that of docker exec.
func checkDescriptors(t *testing.T, c *harness.Container, p harness.Process) {
	t.Helper()
	links := map[string]bool{}
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.HostPID))
	if err != nil || len(paths) < 3 {
		t.Fatalf("descriptors: %v, %v", paths, err)
	}
	for _, path := range paths {
		link, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(link, "/dev/") {
			links[link] = true
		} else if !regexp.MustCompile(`^(anon_inode:|/sys/fs/cgroup/|pipe:|socket:)`).MatchString(link) { // opened by its own runtime
			t.Errorf("descriptor %s is %s", path, link)
		}
	}
	for _, relay := range c.Processes() {
		if relay.Comm != "gatewayctl" {
			continue
		}
		outer, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", relay.HostPID))
		if err != nil || links[outer] {
			t.Errorf("the caller's terminal is %s, the client has %v, %v", outer, links, err)
		}
	}
	if len(links) != 1 {
		t.Errorf("the client has %v", links)
	}
}

// The agent beside a running client gets neither its token nor its terminal, and
// cannot signal it.
func TestAgentBesideClient(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"readme": nil, "plain": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startServing(t, harness.Options{Flags: flags})
			m := tui(t, c)
			m.WaitFor(greeting, 1, boot)
			p := onlyClient(t, c)
			proc := fmt.Sprintf("/proc/%d/", p.PID)
			terminal := regexp.MustCompile(`/dev/pts/\d+`).FindString(strings.Join(links(t, p.HostPID), " "))
			if terminal == "" {
				t.Fatal("the client has no terminal")
			}
			for _, user := range []string{"sandbox", "gateway", "65534"} {
				var calls []harness.Call
				for _, args := range [][]string{
					{"cat", proc + "environ"}, {"cat", proc + "mem"}, {"cat", proc + "maps"}, {"ls", proc + "fd"}, {"cat", proc + "fd/0"},
					{"cat", terminal}, {"write", terminal}, {"sigsend", fmt.Sprint(p.PID), "TERM"}, {"sigsend", fmt.Sprint(p.PID), "STOP"},
					{"ls", homeOf(t, p.HostPID)}, {"cat", homeOf(t, p.HostPID) + "/.gatewayctl-tmp"},
				} {
					calls = append(calls, harness.Call{Args: append([]string{"demotools"}, args...), Stdin: "x"})
				}
				for i, r := range c.Batch(user, calls...) {
					if r.Code == 0 || !strings.Contains(r.Stderr, "permission denied") && !strings.Contains(r.Stderr, "not permitted") {
						t.Errorf("%s, %q: %v", user, calls[i].Args, r)
					}
				}
				if r := c.ExecInput(user, []byte(c.Token()), "demotools", "scan-token", "/"); user != "gateway" && (r.Code != 0 || !strings.Contains(r.Stdout, "leaks=0")) {
					t.Errorf("%s finds: %v", user, r)
				}
				for _, verb := range []string{"tui", "exec"} {
					if r := c.Exec(user, "/usr/local/bin/gatewayctl", verb); r.Code != 126 && r.Code != 3 {
						t.Errorf("%s runs gatewayctl %s: %v", user, verb, r)
					}
				}
			}
			m.Type("still there\r")
			m.WaitFor(`you said "still there"`, 1, boot)
		})
	}
}

func links(t *testing.T, hostPID int) (all []string) {
	t.Helper()
	for fd := range 3 {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", hostPID, fd))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, link)
	}
	return all
}

func homeOf(t *testing.T, hostPID int) string {
	t.Helper()
	for _, kv := range environ(t, hostPID) {
		if home, ok := strings.CutPrefix(kv, "HOME="); ok {
			return home
		}
	}
	t.Fatal("no HOME")
	return ""
}

// A caller that chooses the environment of a docker exec runs no code in a client.
func TestCallersEnvironment(t *testing.T) {
	t.Parallel()
	c := harness.Look(t, "readme", harness.Options{})
	var flags []string
	for _, kv := range []string{"LD_PRELOAD=/tmp/evil.so", "LD_AUDIT=/tmp/evil.so", "NODE_OPTIONS=-r /tmp/evil", "PATH=/tmp", "HOME=/tmp", "TMPDIR=/tmp",
		"GODEBUG=http2debug=2", "BASH_ENV=/tmp/evil", "PYTHONSTARTUP=/tmp/evil", tokenEnv + "=stolen", "TERM=../../tmp/evil", "XDG_RUNTIME_DIR=/tmp", "TZ=Asia/Tokyo"} {
		flags = append(flags, "-e", kv)
	}
	plain := c.Ctl("exec", "demotools", "env")
	tainted := c.ExecFlags(flags, "", nil, "/usr/local/bin/gatewayctl", "exec", "demotools", "env")
	strip := func(text string) string {
		return regexp.MustCompile(`(?m)^(HOME|TMPDIR)=/dev/shm/.*\n`).ReplaceAllString(text, "")
	}
	if got, want := strip(tainted.Stdout), strings.Replace(strip(plain.Stdout), tokenEnv+"=", "TZ=Asia/Tokyo\n"+tokenEnv+"=", 1); got != want || tainted.Code != 0 {
		t.Errorf("the environment is %q, want %q", got, want)
	}
}

// A program that the agent could have written does not get the token.
func TestAgentsProgram(t *testing.T) {
	t.Parallel()
	const path = "/sandbox/tool"
	c := startServing(t, harness.Options{
		Extra:  []string{"--tmpfs", "/sandbox:uid=9002,gid=9002,mode=0755,exec"},
		Config: map[string]any{"clients": map[string]any{"agents": []string{path}, "script": []string{"/usr/local/bin/demotools", "cat", path}}},
	})
	if r := c.ExecInput("sandbox", []byte("#!/usr/local/bin/demotools env\n"), "demotools", "write", path); r.Code != 0 {
		t.Fatal(r)
	}
	c.Tools("sandbox", "chmod", path, "0755")
	if r := c.Exec("sandbox", path); r.Code != 0 {
		t.Fatalf("it is no program: %v", r)
	}
	for _, args := range [][]string{{path}, {"--client", "agents"}, {"--client", "script"}} {
		if r := c.Ctl(append([]string{"exec"}, args...)...); r.Code != 3 || r.Stdout != "" || !strings.Contains(r.Stderr, "unsafe-config: /sandbox: is owned by uid 9002") {
			t.Errorf("%q: %v", args, r)
		}
	}
	// No program gets it as another user than the operator.
	for _, user := range []string{"gateway", "sandbox", "root", "0", "9001"} {
		if r := c.Ctl("exec", "--user", user, "demotools", "env"); r.Code != 3 || r.Stdout != "" {
			t.Errorf("as %s: %v", user, r)
		}
	}
}

// After a rotation clients have the new token, and the client "revoke-devices"
// revokes the credentials that the old token had bought.
func TestRotation(t *testing.T) {
	t.Parallel()
	c := startServing(t, harness.Options{})
	old := c.Token()
	r := c.Ctl("restart", "--rotate-token", "--revoke-devices")
	if r.Code != 0 || !strings.Contains(r.Stdout, "with a new token\nrevoke-demo: the gateway accepts the token\n") {
		t.Errorf("revoke: %v", r)
	}
	if c.Token() == old {
		t.Error("the token is the same")
	}
	if r := c.Ctl("exec", "demotools", "env"); !strings.Contains(r.Stdout, tokenEnv+"="+c.Token()+"\n") {
		t.Errorf("afterwards: code %d", r.Code)
	}
	waitNoClients(t, c)

	failing := startServing(t, harness.Options{Config: map[string]any{"clients": map[string]any{"revoke-devices": []string{"/usr/local/bin/demotools", "exit", "3"}}}})
	old = failing.Token()
	r = failing.Ctl("restart", "--rotate-token", "--revoke-devices")
	if r.Code != 1 || !strings.Contains(r.Stderr, "the token was rotated, but credentials that the old one had bought may still work") ||
		!strings.Contains(r.Stderr, "hint: gatewayctl exec --client revoke-devices") || failing.Token() == old {
		t.Errorf("a client that fails: %v", r)
	}
	none := startServing(t, harness.Options{Config: map[string]any{"clients": nil}})
	before := none.Status()
	if r := none.Ctl("restart", "--rotate-token", "--revoke-devices"); r.Code != 3 || !strings.Contains(r.Stderr, "has no client") {
		t.Errorf("without a client: %v", r)
	}
	if after := none.Status(); after.Gateway.Process != before.Gateway.Process || after.Token.Generation != before.Token.Generation {
		t.Errorf("it had an effect: %+v", after.LastRequest)
	}
	if r := none.Ctl("restart", "--revoke-devices"); r.Code != 2 {
		t.Errorf("without a rotation: %v", r)
	}
}
