// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// Scenario F08. A descendant that holds the gateway's output pipe, or has its
// own session, does not delay a restart longer than the grace. No process of the
// former gateway is alive when the new one starts.
//
// The order of events shows the bound: the next gateway starts after the descendants
// were killed at the end of a short grace, although they would live for an hour. Where
// they end when they are told, the grace is an hour, so the test would not end if a
// restart waited for it. TestSweep of supervisor has the exact times.
//
// Some inits read their child's output through a pipe, and wait for any process
// that still has it open. Others signal a process group, and miss processes that
// left it. The new gateway then meets the old one's helpers at its port and its
// files.
func TestDescendantNeverDelaysARestart(t *testing.T) {
	const short, long = 300 * time.Millisecond, time.Hour
	for name, c := range map[string]struct {
		m     map[string]any
		grace time.Duration
	}{
		"own-session":             {map[string]any{"helper": true}, short},
		"grandchild-holds-stdout": {map[string]any{"hold_stdout": true}, short},
		"all-and-ignores-term":    {map[string]any{"helper": true, "hold_stdout": true, "zombies": 5, "ignore_term": true}, short},
		"unreaped-children":       {map[string]any{"zombies": 50}, long},
		"ends-when-told":          {map[string]any{"saver": true}, long}, // it has a session of its own, and the output
	} {
		t.Run(name, func(t *testing.T) {
			m := c.m
			m["neighbors"] = true // which a confined gateway does not see
			b := box.Start(t, box.Options{Misbehave: m, Config: brief(map[string]any{
				"confine": "none",
				"stop":    map[string]any{"grace": c.grace.String()},
				"restart": map[string]any{"backoff_min": "100ms", "backoff_max": "100ms"},
			})})
			before := b.WaitServing(10 * time.Second)
			// A helper is started after the listener, so it may start after the
			// proof.
			tree(t, b, m)
			for i, end := range []func(){
				func() { b.MustCtl("restart") },
				func() { b.MustCtl("restart", "--rotate-token") },
				func() { b.Tools(0, "sigsend", fmt.Sprint(before.Gateway.PID), "KILL") },
				func() { b.MustCtl("stop"); alone(t, b); b.MustCtl("start") },
			} {
				begin := time.Now()
				end()
				after := b.WaitRecord(10*time.Second, "another gateway", func(r status.Record) error {
					if r.State != status.Running || r.Gateway.Process == before.Gateway.Process {
						return fmt.Errorf("%s, gateway %+v", r.State, r.Gateway.Process)
					}
					return nil
				})
				if took := time.Since(begin); took > testenv.AtMost(t, short+2*time.Second) {
					t.Errorf("way %d took %v", i, took)
				}
				before = after
				tree(t, b, m)
			}
			b.MustCtl("stop")
			alone(t, b)
			if n := strings.Count(b.Log(), "demogateway: neighbors []\n"); n != 5 || n != strings.Count(b.Log(), "demogateway: neighbors ") {
				t.Errorf("%d of 5 gateways started alone", n)
			}
			b.Signal(unix.SIGTERM)
			if s := b.Wait(bound); s.ExitStatus() != 0 {
				t.Errorf("ended with %d", s.ExitStatus())
			}
			// Now the log is complete.
			stopped, crashed := "stopping started ", "started "
			if c.grace == short {
				stopped = "stopping killed started "
			}
			want := "started " + stopped + stopped + crashed + stopped + strings.TrimSuffix(stopped, "started ")
			if got := gatewayEvents(b.Log()); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// gatewayEvents returns the starts, stops and kills of the log, in their order.
func gatewayEvents(log string) (all string) {
	for line := range strings.Lines(log) {
		for _, event := range []string{"gateway-stopping", "killed", "gateway-started"} {
			if strings.Contains(line, `"event":"`+event+`"`) {
				all += strings.TrimPrefix(event, "gateway-") + " "
			}
		}
	}
	return all
}

// tree waits until the gateway has the processes that m asks for. Otherwise a test
// of leftover processes would prove nothing.
func tree(t *testing.T, b *box.Box, m map[string]any) {
	t.Helper()
	want := 1
	for key, n := range map[string]int{"helper": 1, "hold_stdout": 1, "saver": 1} {
		if m[key] == true {
			want += n
		}
	}
	if n, ok := m["zombies"].(int); ok {
		want += n
	}
	deaf := 0 // those that ignore SIGTERM, once their program has begun
	for _, key := range []string{"helper", "hold_stdout"} {
		if m[key] == true {
			deaf++
		}
	}
	b.WaitRecord(10*time.Second, fmt.Sprintf("%d processes of the gateway's", want), func(status.Record) error {
		all := ofGateway(b)
		ignore := slices.DeleteFunc(slices.Clone(all), func(p box.Process) bool { return !b.Ignores(p.PID, unix.SIGTERM) })
		if len(all) != want || len(ignore) < deaf {
			return fmt.Errorf("there are %d, and %d ignore SIGTERM, want %d and %d", len(all), len(ignore), want, deaf)
		}
		return nil
	})
}

// alone fails the test if a process of the gateway's uid exists, zombies included.
func alone(t *testing.T, b *box.Box) {
	t.Helper()
	if left := ofGateway(b); len(left) > 0 {
		t.Errorf("left of the gateway: %v", left)
	}
}

// ofGateway returns the processes of the gateway's uid, without a worker of PID 1, before
// or after it has executed gateway-init.
func ofGateway(b *box.Box) (all []box.Process) {
	for _, p := range b.Processes() {
		line, _ := os.ReadFile(b.Path(fmt.Sprintf("/proc/%d/cmdline", p.PID)))
		if p.UID == box.GatewayUID && p.Comm != "gateway-init" && !strings.HasPrefix(string(line), "gateway-init:reexec\x00worker\x00") {
			all = append(all, p)
		}
	}
	return all
}
