// SPDX-License-Identifier: Apache-2.0

// Package openclaw runs the real gateway, OpenClaw's, under gateway-init, as users
// run it. One start takes ten seconds and more.
//
// make test runs TestStory. All others have the tag long, and are for make
// test-openclaw and make long-openclaw. They share a container, one after the other
// (shared), if they leave it serving. A test that breaks or changes its container
// has its own, and runs beside the others, two at a time (takePlace).
//
// The model is demotools fakemodel, the container's command. It calls the tools
// that a test asks for. The only network is the container's own loopback.
package openclaw

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Bounds of waits. The gateway alone needs both cores for some ten seconds before
// it is ready, and several times that beside other work.
const (
	ready  = 4 * time.Minute
	paired = 4 * time.Minute
)

const (
	modelAddr = "127.0.0.1:18800"
	// requests is the file where the fake model keeps its requests.
	requests = "/tmp/model-requests"
	tokenEnv = "OPENCLAW_GATEWAY_TOKEN"
)

// noNetwork are the first flags of options.
var noNetwork = []string{"--network", "none"}

// flags are the README's flags for this image: the general ones, and a place for
// the files of each of the three users.
func flags() []string {
	return append(harness.ReadmeFlags(),
		"--tmpfs", "/var/lib/openclaw:uid=9001,gid=9001,mode=0700",
		"--tmpfs", "/sandbox:uid=9002,gid=9002,mode=0755,exec",
		"--tmpfs", "/home/operator:uid=9003,gid=9003,mode=0700")
}

// places bounds the containers beside the common one. A gateway and its tools take
// 1.4 GiB, and both cores to start.
var places = make(chan struct{}, 2)

// takePlace waits for a place and lets a test with its own containers run beside
// others. If subtests run in parallel, each takes a place.
func takePlace(t *testing.T) {
	t.Helper()
	t.Parallel()
	places <- struct{}{}
	t.Cleanup(func() { <-places })
}

// options describes a container with the fake model as its command. conf is merged
// over the image's openclaw.json, and over is merged over its config.json.
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
		Extra: append(slices.Clone(noNetwork), "-v", dir+":/etc/openclaw:ro", "-v", tools+":/usr/local/bin/demotools:ro"),
		Env:   map[string]string{"OPENCLAW_OFFLINE": "1"},
		// It starts before the gateway, which asks the model for nothing by itself.
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

// needImage skips the test if there is no image. Under CI=true that is a failure.
func needImage(t testing.TB) {
	t.Helper()
	if r := harness.Engine(t, nil, "image", "inspect", "-f", "{{.Id}}", harness.OpenClawImage); r.Code != 0 {
		t.Skipf("no image %s: run make openclaw (is the npm registry reachable?)", harness.OpenClawImage)
	}
}

// waitTools waits until the agent's tools are paired and connected. Then the
// one-shot has exited with 0.
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

// turn lets the agent make the calls, one after the other, and returns the tools'
// answers.
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

// resultsOf finds the fake model's last answer in the output of openclaw agent.
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

// findText returns the first string that begins as the fake model's answer does.
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

// refused reports whether a tool's answer is a refusal.
func refused(result string) bool {
	lower := strings.ToLower(result)
	for _, word := range []string{"error", "not found", "unknown tool", "escapes", "denied", "blocked", "not allowed", "not under"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}
