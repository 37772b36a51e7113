// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario F12. If the container's environment sets the token's variable,
// that value never reaches the gateway. There is exactly one entry, and one
// warning.
//
// A token in the container's environment replaced the new one or stood beside it, and
// each program took either of the two.
func TestPresetTokenNeverReachesTheGateway(t *testing.T) {
	t.Parallel()
	const preset = "preset-by-the-host-0123456789abcdef"
	c := harness.Start(t, harness.Options{
		Env:     map[string]string{"OPENCLAW_GATEWAY_TOKEN": preset},
		Command: []string{"demotools", "sleep", "3600"},
		Config: map[string]any{"sidecars": []any{map[string]any{
			"name": "idle", "command": []string{"/usr/local/bin/demotools", "sleep", "3600"}}}},
	})
	record := c.WaitServing(20 * time.Second)
	for range 2 { // the first launch and a later one
		var names []string
		r := c.HTTP("GET", "/api/env", c.Token(), "")
		if err := json.Unmarshal([]byte(r.Body), &names); err != nil {
			t.Fatalf("%v: %+v", err, r)
		}
		entries := 0
		for _, name := range names {
			if name == "OPENCLAW_GATEWAY_TOKEN" {
				entries++
			}
		}
		if entries != 1 {
			t.Errorf("the gateway has %d entries for the token: %v", entries, names)
		}
		if r := c.HTTP("GET", "/api/whoami", preset, ""); r.Code != 401 {
			t.Errorf("the preset authenticates: %+v", r)
		}
		c.MustCtl("restart")
		record = c.WaitNewGateway(record.Gateway.Process, 10*time.Second)
	}
	// Only PID 1 has it, because it was executed with it.
	seen := 0
	for _, p := range c.Processes() {
		if p.PID == 1 {
			continue
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.HostPID))
		if err != nil {
			continue // it ended meanwhile
		}
		seen++
		if strings.Contains(string(data), preset) {
			t.Errorf("%s (uid %d) has the preset in its environment", p.Comm, p.UID)
		}
	}
	if seen < 3 {
		t.Errorf("looked at %d processes: gateway, command and sidecar are three", seen)
	}
	logs := c.Logs()
	if n := strings.Count(logs, `"preset-token"`); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
	if strings.Contains(logs, preset) {
		t.Error("the log holds the preset's value")
	}
}
