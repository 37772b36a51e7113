// SPDX-License-Identifier: Apache-2.0

package openclaw

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// grace is the bound of a stop here. The profile's 7 s are for an idle machine. A
// busy machine must not fail the test.
const grace = 60 * time.Second

// story is one container through its life, and the secrets that must not leave the
// gateway.
type story struct {
	*harness.Container
	tokens   []string // all tokens so far
	key      string   // a provider's key, which the gateway gets from the container's environment
	variable string   // of the container's environment; the profile does not pass it on
	canary   string   // a file that only the gateway can read
}

// canaryFile is in the gateway's state, outside the agent's workspace.
const canaryFile = "/var/lib/openclaw/canary"

// TestStory goes through the gateway's life in the order in which a user meets it,
// on one container. make test runs this test alone of this package. Each chapter
// needs the chapters before it. Each checks the effect of a line of the profile or
// of openclaw.json. make test-openclaw has the other tests.
func TestStory(t *testing.T) {
	takePlace(t)
	needImage(t)
	t.Run("image", imageIsOurs)
	s := startStory(t)
	for _, chapter := range []struct {
		name string
		run  func(*testing.T, *story)
	}{
		{"start", started}, {"pairing", pairs}, {"attack", attacked}, {"terminal", terminal}, {"rotation", rotated}, {"leaks", nothingLeaked}, {"stop", stopped},
	} {
		began := time.Now()
		ok := t.Run(chapter.name, func(t *testing.T) {
			mine := *s
			mine.Container = s.For(t)
			chapter.run(t, &mine)
			s.tokens = mine.tokens
		})
		if !ok {
			t.FailNow() // the later chapters would wait in vain
		}
		t.Logf("%s: %.1f s", chapter.name, time.Since(began).Seconds())
	}
}

// startStory starts the container. The model is not the container's command,
// because the exit code of the container would be that of the command. The model
// does not have the container's environment either, because its user may read it.
func startStory(t *testing.T) *story {
	t.Helper()
	s := &story{key: "key-" + rand.Text(), variable: "variable-" + rand.Text(), canary: "canary-" + rand.Text()}
	o := options(t, nil, map[string]any{"gateway": map[string]any{"stop": map[string]any{"grace": grace.String()}}})
	o.Command = nil
	o.Extra = append(o.Extra, "--stop-timeout", "120")
	o.Env["ANTHROPIC_API_KEY"], o.Env["STORY_VARIABLE"] = s.key, s.variable
	s.Container = harness.Start(t, o)
	s.ExecDetached("sandbox", "env", "-i", "/usr/local/bin/demotools", "fakemodel", modelAddr, requests)
	s.WaitServing(ready)
	s.tokens = []string{s.Token()}
	return s
}

// started checks the serving gateway: proven, on loopback alone, with the
// environment of the profile and nothing else.
func started(t *testing.T, s *story) {
	r := s.Status()
	proven(t, r)
	s.loopbackOnly(t)
	s.users(t)
	s.environment(t, r.Gateway.PID)
	for path, uid := range map[string]int{
		"/tmp/openclaw-state-locks-9001": harness.GatewayUID, "/tmp/openclaw-gateway": harness.GatewayUID, "/tmp/openclaw-pairing": harness.OperatorUID,
	} {
		if i, err := os.Stat(s.HostPath(path)); err != nil || int(i.Sys().(*syscall.Stat_t).Uid) != uid {
			t.Errorf("%s is not of uid %d: %v", path, uid, err)
		}
	}
}

// pairs waits for the agent's tools and checks their processes.
func pairs(t *testing.T, s *story) {
	waitTools(t, s.Container)
	s.users(t)
	found := 0
	for _, p := range s.Processes() {
		env, err := readProc(p.HostPID, "environ")
		if err != nil || p.UID != harness.SandboxUID {
			continue
		}
		found++
		for _, secret := range []string{s.tokens[0], s.key, s.variable} {
			if strings.Contains(env, secret) {
				t.Errorf("the environment of %+v has %.8s", p, secret)
			}
		}
	}
	if found < 3 { // the model, the tools' script, the node
		t.Errorf("the agent has only %d processes", found)
	}
	noTokenInMemory(t, s.Container, "with the tools", s.tokens[0])
}

// terminal opens the terminal UI as the README says.
func terminal(t *testing.T, s *story) { tui(t, s.Container) }

// rotated restarts with a new token. The old token is refused, and the tools
// connect again by themselves.
func rotated(t *testing.T, s *story) {
	old, before := s.Status(), s.tokens[0]
	s.MustCtl("restart", "--rotate-token", "--timeout", "4m")
	after := s.Token()
	if s.tokens = append(s.tokens, after); after == before {
		t.Fatal("the token is the same")
	}
	for name, try := range map[string]struct {
		token string
		want  int
	}{"old": {before, 401}, "new": {after, 404}, "none": {"", 401}} {
		if got := authenticates(s.Container, try.token); got != try.want {
			t.Errorf("%s token: %d, want %d", name, got, try.want)
		}
	}
	r := s.Status()
	proven(t, r)
	if e := r.LastExit; r.Gateway.Process == old.Gateway.Process || e.PID != old.Gateway.PID || !e.Requested || e.Failure {
		t.Errorf("gateway %+v, last exit %+v", r.Gateway, e)
	}
	waitTools(t, s.Container)
	if results := turn(t, s.Container, shell("id -u")); !strings.Contains(results[0], fmt.Sprint(harness.SandboxUID)) {
		t.Errorf("after the rotation, a command says %s", results[0])
	}
}

// nothingLeaked looks for all tokens wherever they do not belong.
func nothingLeaked(t *testing.T, s *story) {
	s.NoToken("at the end", s.tokens...)
	files := 0
	for _, dir := range []string{"/var/lib/openclaw", "/sandbox", "/home/operator", "/tmp", "/dev/shm"} {
		files += harness.NoTokenBelow(t, "at the end", s.HostPath(dir), s.tokens...)
	}
	if files < 10 {
		t.Errorf("only %d files to look at", files)
	}
	for _, token := range s.tokens {
		noTokenInMemory(t, s.Container, "at the end", token)
	}
}

// stopped stops the container. No process has to be killed.
func stopped(t *testing.T, s *story) {
	all := s.Processes()
	s.Stop()
	if code := s.WaitExit(time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, p := range all {
		if fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", p.HostPID)); err == nil && fields["Name"] == p.Comm {
			t.Errorf("%+v lives", p)
		}
	}
}
