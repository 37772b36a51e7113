// SPDX-License-Identifier: Apache-2.0

// Package openclaw runs the real gateway, OpenClaw's, under gateway-init: the
// mission as users meet it. One start of it takes ten seconds and more.
//
// TestStory is what make test runs. All others have the tag long, and are for make
// test-openclaw and make long-openclaw. They share a container, one after the
// other (shared), where they leave it serving. Those that break or change one have
// their own, and run beside it, two at a time (takePlace).
//
// The model is demotools fakemodel, the container's command: it calls the tools
// that a test asks for. Nothing reaches any network but the container's own
// loopback.
package openclaw

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// How long things may take. The gateway alone needs some ten seconds of both
// cores to be ready, several times that beside other work.
const (
	ready  = 4 * time.Minute
	paired = 4 * time.Minute
)

const (
	modelAddr = "127.0.0.1:18800"
	// requests is where the fake model keeps what it is asked.
	requests = "/tmp/model-requests"
	tokenEnv = "OPENCLAW_GATEWAY_TOKEN"
)

// flags are the README's for this image: the general ones, and a place for what
// each of the three users keeps.
func flags() []string {
	return append(harness.ReadmeFlags(),
		"--tmpfs", "/var/lib/openclaw:uid=9001,gid=9001,mode=0700",
		"--tmpfs", "/sandbox:uid=9002,gid=9002,mode=0755,exec",
		"--tmpfs", "/home/operator:uid=9003,gid=9003,mode=0700")
}

// places bounds the containers beside the common one: a gateway and its tools
// take 1.4 GiB, and both cores to start.
var places = make(chan struct{}, 2)

// takePlace lets a test with containers of its own run beside others, once there is
// a place for it. A test whose subtests run side by side has one for each.
func takePlace(t *testing.T) {
	t.Helper()
	t.Parallel()
	places <- struct{}{}
	t.Cleanup(func() { <-places })
}

// options is a container with the fake model as its command. conf is merged
// over the image's openclaw.json, over over its config.json.
func options(t testing.TB, conf, over map[string]any) harness.Options {
	t.Helper()
	needImage(t)
	dir := harness.HostDir(t, "openclaw", 0, 0o755)
	data := harness.MergedJSON(t, "image/openclaw/openclaw.json", withModel(conf))
	if err := os.WriteFile(filepath.Join(dir, "openclaw.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	tools := filepath.Join(harness.Root(t), "bin/demotools")
	return harness.Options{
		Image: harness.OpenClawImage, NoState: true, Flags: flags(), Config: over,
		Extra: []string{"--network", "none", "-v", dir + ":/etc/openclaw:ro", "-v", tools + ":/usr/local/bin/demotools:ro"},
		Env:   map[string]string{"OPENCLAW_OFFLINE": "1"},
		// Before the gateway: it asks the model for nothing until it is told to.
		Command: []string{"demotools", "fakemodel", modelAddr},
	}
}

// withModel adds the fake model's provider.
func withModel(conf map[string]any) map[string]any {
	all := map[string]any{
		"agents": map[string]any{"defaults": map[string]any{"model": map[string]any{"primary": "fake/fake"}}},
		"models": map[string]any{"mode": "replace", "providers": map[string]any{"fake": map[string]any{
			"baseUrl": "http://" + modelAddr + "/v1", "apiKey": "none", "api": "openai-completions",
			"models": []any{map[string]any{
				"id": "fake", "name": "Fake", "reasoning": false, "input": []any{"text"},
				"cost":          map[string]any{"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
				"contextWindow": 128000, "maxTokens": 4096,
			}},
		}}},
	}
	for key, value := range conf {
		all[key] = value
	}
	return all
}

// needImage skips where there is no image, which is a failure under CI=true.
func needImage(t testing.TB) {
	t.Helper()
	if r := harness.Engine(t, nil, "image", "inspect", "-f", "{{.Id}}", harness.OpenClawImage); r.Code != 0 {
		t.Skipf("no image %s: run make openclaw (is the npm registry reachable?)", harness.OpenClawImage)
	}
}

// waitTools waits until the agent's tools are paired and connected: the
// one-shot has ended with 0.
func waitTools(t *testing.T, c *harness.Container) {
	t.Helper()
	c.WaitStatus(paired, "the agent's tools to be paired", func(v harness.View) error {
		for _, s := range v.Record.Sidecars {
			if s.Name == "pair" && s.PID == 0 && strings.Contains(s.Detail, "exit code 0") {
				return nil
			}
		}
		return fmt.Errorf("%+v", v.Record.Sidecars)
	})
}

// client runs a program as the operator, with the token.
func client(c *harness.Container, args ...string) harness.Result {
	return c.Ctl(append([]string{"exec", "--no-tty", "--"}, args...)...)
}

// call is a tool call that the fake model makes.
type call struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}

func shell(command string) call { return call{"exec", map[string]any{"command": command}} }

// turn lets the agent make the calls, one after the other, and returns what the
// tools answered.
func turn(t *testing.T, c *harness.Container, calls ...call) []string {
	t.Helper()
	list, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	r := client(c, "openclaw", "agent", "--agent", "main", "--session-key", fmt.Sprintf("agent:main:%d", time.Now().UnixNano()),
		"--message", "CALLS "+string(list), "--json")
	if r.Code != 0 {
		t.Fatalf("openclaw agent: %v", r)
	}
	results, err := resultsOf(r.Stdout)
	if err != nil || len(results) != len(calls) {
		t.Fatalf("%d results for %d calls, %v: %v", len(results), len(calls), err, r)
	}
	return results
}

// resultsOf finds the fake model's last answer in what openclaw agent prints.
func resultsOf(output string) ([]string, error) {
	var whole any
	if err := json.NewDecoder(strings.NewReader(output[max(strings.IndexByte(output, '{'), 0):])).Decode(&whole); err != nil {
		return nil, err
	}
	text := findText(whole)
	body, ok := strings.CutPrefix(text, "RESULTS ")
	body, end := strings.CutSuffix(body, " END")
	if !ok || !end {
		return nil, errors.New("no answer of the fake model")
	}
	var results []string
	return results, json.NewDecoder(bytes.NewReader([]byte(body))).Decode(&results)
}

// findText is the first string that begins as the fake model's answer does.
func findText(v any) string {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "RESULTS ") {
			return v
		}
	case []any:
		for _, e := range v {
			if s := findText(e); s != "" {
				return s
			}
		}
	case map[string]any:
		for _, e := range v {
			if s := findText(e); s != "" {
				return s
			}
		}
	}
	return ""
}

func read(path string) call { return call{"read", map[string]any{"path": path}} }

// refused reports whether a tool's answer says that it did not do it.
func refused(result string) bool {
	lower := strings.ToLower(result)
	for _, word := range []string{"error", "not found", "unknown tool", "escapes", "denied", "blocked", "not allowed", "not under"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}
