// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// Invariant I3. A process is its pid and its start time. gatewayctl does not believe
// a record whose pid now belongs to another process. PID 1 signals only processes
// that it holds itself, whatever the record says. (Scenario P06 lets the pids wrap
// under real restarts.)
func TestRecordedPidIsNeverTrusted(t *testing.T) {
	c := harness.Start(t, harness.Options{
		Command: []string{"demotools", "sleep", "600"}, // the bystander
		// A health check would write a true record over a forged one.
		Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "10m"}}},
	})
	c.WaitServing(30 * time.Second)
	r := c.WaitStatus(20*time.Second, "the command to run", func(v harness.View) error {
		if v.Record.Command == nil || v.Record.Command.PID == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	gateway, bystander := c.GatewayHostPID(), c.HostPIDOf(r.Command.PID)
	if got := startTicks(t, gateway); got != r.Gateway.Start {
		t.Fatalf("status says the gateway started at %d, the kernel says %d", r.Gateway.Start, got)
	}
	if got := startTicks(t, c.HostPID()); got != r.Init.Start {
		t.Fatalf("status says PID 1 started at %d, the kernel says %d", r.Init.Start, got)
	}
	for _, f := range []struct {
		name   string
		forge  func(*status.Record)
		code   int
		reason string
	}{
		{"as-it-is", func(*status.Record) {}, 0, ""},
		{"gateway-recycled", func(r *status.Record) { r.Gateway.Start-- }, 4, "identity-changed"},
		{"gateway-is-the-bystander", func(r *status.Record) { r.Gateway.PID = r.Command.PID }, 4, "identity-changed"},
		{"gateway-is-another-user's", func(r *status.Record) {
			r.Gateway.PID, r.Gateway.Start = r.Command.PID, startTicks(t, bystander)
		}, 4, "identity-changed"},
		{"gateway-gone", func(r *status.Record) { r.Gateway.PID = 4000000 }, 4, "identity-changed"},
		{"supervisor-recycled", func(r *status.Record) { r.Init.Start++ }, 5, "no-supervisor"},
	} {
		t.Run(f.name, func(t *testing.T) {
			forged := r
			f.forge(&forged)
			writeRecord(t, c, forged)
			if v, err := c.TryView(); err != nil || v.ExitCode != f.code || v.Reason != f.reason {
				t.Errorf("status: code %d, reason %q, %v; want %d, %q", v.ExitCode, v.Reason, err, f.code, f.reason)
			}
			if got := c.Ctl("health"); got.Code != f.code {
				t.Errorf("health: %v", got)
			}
		})
	}
	// PID 1 does not read its own record.
	forged := r
	forged.Gateway.PID, forged.Gateway.Start = r.Command.PID, startTicks(t, bystander)
	writeRecord(t, c, forged)
	ticks := startTicks(t, bystander)
	c.MustCtl("stop")
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", gateway)); err == nil && alive(gateway, r.Gateway.Start) {
		t.Error("stop did not end the gateway")
	}
	if !alive(bystander, ticks) {
		t.Error("stop ended the process that the forged record named")
	}
}

func writeRecord(t *testing.T, c *harness.Container, r status.Record) {
	t.Helper()
	data, err := status.Encode(r)
	if err == nil {
		err = os.WriteFile(c.HostPath("/run/gateway-init/status.json"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startTicks returns field 22 of the stat line of a host's process. The container has
// the same clock.
func startTicks(t *testing.T, hostPID int) (ticks uint64) {
	t.Helper()
	ticks, _, err := stat(hostPID)
	if err != nil {
		t.Fatal(err)
	}
	return ticks
}

func alive(hostPID int, ticks uint64) bool {
	now, state, err := stat(hostPID)
	return err == nil && now == ticks && state != "Z"
}

func stat(hostPID int) (ticks uint64, state string, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", hostPID))
	if err != nil {
		return 0, "", err
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 {
		return 0, "", fmt.Errorf("stat line of %d fields", len(fields))
	}
	_, err = fmt.Sscan(fields[19], &ticks)
	return ticks, fields[0], err
}
