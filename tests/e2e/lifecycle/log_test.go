// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
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
