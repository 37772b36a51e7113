// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestStopReachesWhatTheGatewayStarted checks that a process that the gateway started,
// and left behind, gets SIGTERM and the rest of the grace. A script that starts its server
// as a child ends at SIGTERM, long before the server has saved its data.
func TestStopReachesWhatTheGatewayStarted(t *testing.T) {
	for name, c := range map[string]struct {
		stopped bool // the process is stopped, so it does not see SIGTERM alone
		end     func(b *box.Box)
	}{
		"restart":         {false, func(b *box.Box) { b.MustCtl("restart") }},
		"stop":            {false, func(b *box.Box) { b.MustCtl("stop") }},
		"restart-stopped": {true, func(b *box.Box) { b.MustCtl("restart") }},
		"drain":           {false, func(b *box.Box) { b.MustCtl("restart", "--drain", "60s") }},
		"container": {false, func(b *box.Box) {
			b.Signal(unix.SIGTERM)
			if s := b.Wait(testenv.AtMost(t, 20*time.Second)); s.ExitStatus() != 0 {
				t.Errorf("the container ended with %d", s.ExitStatus())
			}
		}},
		"crash": {false, func(b *box.Box) {
			r := b.WaitServing(10 * time.Second)
			b.Tools(0, "sigsend", strconv.Itoa(r.Gateway.PID), "KILL")
			b.WaitRecord(20*time.Second, "another gateway", func(now status.Record) error {
				if now.State != status.Running || now.Gateway.Process == r.Gateway.Process {
					return errors.New("not yet")
				}
				return nil
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := box.Start(t, box.Options{Misbehave: map[string]any{"saver": true}, Config: map[string]any{"gateway": map[string]any{
				"health": map[string]any{"interval": "10m"}, "restart": map[string]any{"backoff_min": "5s"}}}})
			r := b.WaitServing(10 * time.Second)
			testenv.Eventually(t, "the saver runs", func() bool { return strings.Contains(b.Log(), "a saver runs") })
			if c.stopped {
				b.Tools(0, "sigsend", strconv.Itoa(saver(t, b, r)), "STOP")
			}
			c.end(b)
			log := b.Log()
			if !strings.Contains(log, "a saver has saved") || strings.Contains(log, `"event":"killed"`) {
				t.Errorf("it could not save:\n%s", log)
			}
		})
	}
}

// saver returns the pid of the process that the gateway r has started.
func saver(t *testing.T, b *box.Box, r status.Record) int {
	t.Helper()
	for _, p := range ofGateway(b) {
		if p.PID != r.Gateway.PID {
			return p.PID
		}
	}
	t.Fatal("the gateway has started no process")
	return 0
}
