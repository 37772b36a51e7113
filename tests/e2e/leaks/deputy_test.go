// SPDX-License-Identifier: Apache-2.0

package leaks

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// toolPath is the agent's path to the demo gateway's file tools.
const toolPath = "/agent/tool"

// answered is the answer of a file tool.
type answered struct {
	Code  int
	Text  string
	Names []string
	Error string
}

// ask calls a file tool without a token, as the agent does. It calls from the
// test's process in the container's network, which is faster than a process of the
// agent's user.
func ask(c *harness.Container, call map[string]string) (a answered, err error) {
	body, err := json.Marshal(call)
	if err != nil {
		return a, err
	}
	r := c.HTTP("POST", toolPath, "", string(body))
	if r.Err != nil {
		return a, fmt.Errorf("the tool does not answer: %w", r.Err)
	}
	a.Code = r.Code
	return a, json.Unmarshal([]byte(r.Body), &a)
}

func read(c *harness.Container, path string) (answered, error) {
	return ask(c, map[string]string{"tool": "read", "path": path})
}

// secretPlaces returns the present and former paths of the token, and of the
// environment of each process that has it.
func secretPlaces(gateway int) (paths []string) {
	for _, dir := range []string{"/run/gateway-init", "/proc/self/root/run/gateway-init", "/proc/1/root/run/gateway-init", "/proc/1/cwd/run/gateway-init"} {
		for _, name := range []string{"gateway-token", "gateway-token.new", "gateway-token.reserve", "status.json", "clients.lock", "control/request"} {
			paths = append(paths, dir+"/"+name)
		}
	}
	own := fmt.Sprintf("/proc/%d", gateway)
	for _, dir := range []string{"/proc/self", "/proc/thread-self", own, fmt.Sprintf("%s/task/%d", own, gateway), "/proc/1", "/proc/1/task/1"} {
		for _, name := range []string{"environ", "mem", "auxv"} {
			paths = append(paths, dir+"/"+name)
		}
	}
	for fd := range 16 {
		paths = append(paths, fmt.Sprintf("/proc/1/fd/%d", fd))
	}
	return paths
}

// withoutRule leaves out gateway.confine, so that only owners and modes protect.
var withoutRule = map[string]any{"gateway": map[string]any{"confine": "none"}}

// Invariant I10, the gateway itself. The agent asks the gateway's own file tools
// for the token, as a call of a model does. The kernel refuses each place to the
// gateway.
func TestDeputy(t *testing.T) {
	c := start(t, harness.Options{Misbehave: map[string]any{"drain": "3s"}, Config: withoutRule})
	tokens := []string{c.Token()}

	// The tools work in places that the gateway's user may read and write.
	canary := map[string]string{"tool": "write", "path": "/var/lib/gateway/note", "text": "canary"}
	if a, err := ask(c, canary); err != nil || a.Code != 200 {
		t.Fatalf("write: %+v, %v", a, err)
	}
	if a, err := read(c, canary["path"]); err != nil || a.Text != canary["text"] {
		t.Fatalf("read: %+v, %v", a, err)
	}
	if a, err := ask(c, map[string]string{"tool": "list", "path": "/proc/self/fd"}); err != nil || len(a.Names) < 3 {
		t.Fatalf("list: %+v, %v", a, err)
	}

	r := c.ExecInput("sandbox", nil, "demotools", "http", "POST", "http://127.0.0.1:18789"+toolPath, `{"tool":"read","path":"/var/lib/gateway/note"}`)
	if !strings.HasPrefix(r.Stdout, "200\n") {
		t.Fatalf("the agent's user does not reach the tools: %v", r)
	}

	// This runs while the next token exists beside the current one.
	ended := make(chan harness.Result, 1)
	go func() { ended <- c.Ctl("restart", "--rotate-token", "--drain", "30s") }()
	harness.Eventually(t, boot, "the next token", func() error {
		data, err := os.ReadFile(c.HostPath("/run/gateway-init/gateway-token.new"))
		if err == nil && len(data) != 64 {
			err = errors.New("it is not whole")
		}
		if err == nil {
			tokens = append(tokens, string(data))
		}
		return err
	})
	if a, err := read(c, "/run/gateway-init/gateway-token.new"); err != nil || !refusedBy(a) {
		t.Errorf("the next token: %+v, %v", a.Error, err)
	}
	if r := <-ended; r.Code != 0 {
		t.Fatal(r)
	}
	if c.Token() != tokens[len(tokens)-1] {
		t.Error("the token in force is another one than was asked for")
	}
	if got := deputyGets(t, c, c.Status().Gateway.PID, tokens); len(got) != 0 {
		t.Errorf("the agent gets the token through the gateway: %v", got)
	}
	for _, dir := range []string{"/run/gateway-init", "/run/gateway-init/control", "/proc/1/fd", "/proc/1/cwd/"} {
		if a, err := ask(c, map[string]string{"tool": "list", "path": dir}); err != nil || !refusedBy(a) {
			t.Errorf("list %s: %+v, %v", dir, a, err)
		}
	}
}

// refusedBy reports whether the kernel refused a call.
func refusedBy(a answered) bool {
	return a.Code == 403 && (strings.Contains(a.Error, "permission denied") || strings.Contains(a.Error, "operation not permitted"))
}

// deputyGets asks for every secret place. It returns the places that have a token,
// and fails the test for each that the kernel did not refuse.
func deputyGets(t *testing.T, c *harness.Container, gateway int, tokens []string) (got []string) {
	t.Helper()
	for _, path := range secretPlaces(gateway) {
		a, err := read(c, path)
		if err != nil {
			t.Fatal(err)
		}
		if len(ways(t, []taken{{path, 0, []byte(a.Text)}}, tokens...)) != 0 {
			got = append(got, path)
		} else if !refusedBy(a) {
			t.Errorf("read %s: code %d, %d bytes, %s", path, a.Code, len(a.Text), a.Error)
		}
	}
	return got
}

// TestDeputyWinsWhereTheProgramIsReadable gives the gateway a program that its user
// may read. Then the same tools give the agent the token. TestDeputy relies on the
// mode of the program.
func TestDeputyWinsWhereTheProgramIsReadable(t *testing.T) {
	c := start(t, harness.Options{Extra: []string{"-v", filepath.Join(harness.Root(t), "bin/demogateway") + ":/usr/local/bin/demogateway:ro"}})
	a, err := read(c, "/proc/self/environ")
	if err != nil || !strings.Contains(a.Text, c.Token()) {
		t.Errorf("code %d, %d bytes, %s, %v: the environment has no token", a.Code, len(a.Text), a.Error, err)
	}
}
