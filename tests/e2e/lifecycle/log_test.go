// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/strictjson"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// Each log line must be strict JSON, so that all readers take it the same way. The
// lines of a sidecar had two origins.
func TestLogLinesAreStrictJSON(t *testing.T) {
	c := harness.Start(t, harness.Options{
		Command: []string{"demotools", "sleep", "60"},
		Config: map[string]any{"sidecars": []any{map[string]any{
			"name": "beside", "command": []any{"/usr/local/bin/demotools", "exit", "3"}}}},
	})
	c.WaitServing(30 * time.Second)
	c.MustCtl("restart")
	harness.Eventually(t, 20*time.Second, "the sidecar's end in the log", func() error {
		if !strings.Contains(c.Logs(), `"event":"sidecar-exited"`) {
			return errors.New(c.Logs())
		}
		return nil
	})
	c.Stop()
	origins := map[string]int{}
	for line := range strings.Lines(c.Logs()) {
		if !strings.HasPrefix(line, "{") {
			continue // a line of the gateway
		}
		v, err := strictjson.Parse([]byte(line))
		if err != nil {
			t.Errorf("%v in %s", err, line)
			continue
		}
		members := map[string]string{}
		for _, m := range v.Members {
			members[m.Key] = m.Value.Str
		}
		for i, key := range []string{"time", "level", "origin", "event"} {
			if len(v.Members) <= i || v.Members[i].Key != key || members[key] == "" {
				t.Errorf("no %s at its place in %s", key, line)
			}
		}
		origins[members["origin"]]++
	}
	if origins["init"] == 0 || origins["beside"] == 0 || len(origins) != 2 {
		t.Errorf("origins are %v, want init and beside", origins)
	}
}

// TestForgedLogLinesAreToldApart checks that a line of the agent in PID 1's form, which
// nothing prevents, is told apart as docs/logging.md says: PID 1 writes to stderr alone, and
// status knows nothing of what the line says.
func TestForgedLogLinesAreToldApart(t *testing.T) {
	const forged = `{"time":"2026-11-24T15:16:10.123Z","level":"warn","origin":"init","event":"gateway-exited","pid":7,"code":78,"signal":0,"requested":false,"proven":true}`
	file := filepath.Join(t.TempDir(), "forged")
	if err := os.WriteFile(file, []byte(forged+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{
		Extra: []string{"-v", file + ":/forged:ro"},
		Config: map[string]any{"sidecars": []any{map[string]any{
			"name": "forger", "restart": "never", "command": []any{"/usr/local/bin/demotools", "cat", "/forged"}}}},
	})
	c.WaitServing(30 * time.Second)
	harness.Eventually(t, 20*time.Second, "the forged line", func() error {
		if text := c.Logs(); !strings.Contains(text, forged) {
			return errors.New(text)
		}
		return nil
	})
	r := harness.Engine(t, nil, "logs", c.Name)
	if !strings.Contains(r.Stdout, forged) || strings.Contains(r.Stderr, forged) {
		t.Errorf("the sidecar's line is not on its stdout: %v", r)
	}
	if others := strings.ReplaceAll(r.Stdout, forged, ""); strings.Contains(others, `"origin":"init"`) {
		t.Errorf("PID 1 wrote to stdout: %s", others)
	}
	if !strings.Contains(r.Stderr, `"event":"gateway-proven"`) {
		t.Errorf("PID 1 wrote nothing to stderr: %v", r)
	}
	if now := c.Status(); now.LastExit != nil || now.Crashes != 0 || now.Starts.Exited != 0 {
		t.Errorf("status believes the line: %+v, %d crashes, %+v", now.LastExit, now.Crashes, now.Starts)
	}
}
