// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestHangUpReachesTheGatewayIfConfigured checks that SIGHUP does not end a container
// without a terminal. The gateway gets the configured signal, and one that starts gets
// none, because it has no handler yet.
func TestHangUpReachesTheGatewayIfConfigured(t *testing.T) {
	config := map[string]any{"gateway": map[string]any{"reload": map[string]any{"signal": "SIGHUP"}, "health": map[string]any{"interval": "10m"}}}
	b := box.Start(t, box.Options{Config: config})
	r := b.WaitServing(20 * time.Second)
	b.Signal(unix.SIGHUP)
	// The demo gateway has no handler for SIGHUP, and ends by it.
	b.WaitRecord(20*time.Second, "the gateway's end by the signal", func(now status.Record) error {
		if e := now.LastExit; e == nil || e.PID != r.Gateway.PID || e.Signal != int(unix.SIGHUP) {
			return fmt.Errorf("last exit %+v", now.LastExit)
		}
		return nil
	})
	if !strings.Contains(b.Log(), fmt.Sprintf(`"event":"gateway-reload","pid":%d,"signal":"hangup"`, r.Gateway.PID)) {
		t.Error("it is not logged")
	}

	b = box.Start(t, box.Options{Config: config, Misbehave: map[string]any{"listen_after": "1h"}})
	waitReason(b, status.Starting, "listener-missing")
	b.Signal(unix.SIGHUP)
	b.Signal(unix.SIGUSR1) // it is handled after the first
	b.WaitRecord(20*time.Second, "the second signal", func(r status.Record) error {
		if !strings.Contains(b.Log(), "signal-ignored") {
			return errors.New("it is not logged")
		}
		if r.LastExit != nil {
			t.Fatalf("the gateway that starts ended: %+v", r.LastExit)
		}
		return nil
	})
	if strings.Contains(b.Log(), `"event":"gateway-reload"`) {
		t.Errorf("a gateway that starts got the signal:\n%s", b.Log())
	}
}

// TestReloadProvesTheGatewayThatServes checks gatewayctl reload with a signal that the demo
// gateway survives, and its refusals.
func TestReloadProvesTheGatewayThatServes(t *testing.T) {
	b := box.Start(t, box.Options{Config: map[string]any{"gateway": map[string]any{"reload": map[string]any{"signal": "SIGWINCH"}}}})
	before := b.WaitServing(20 * time.Second)
	want := fmt.Sprintf("reloaded: pid %d got the signal, proven", before.Gateway.PID)
	if out := b.MustCtl("reload"); out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	unchanged(t, b, before)
	b.MustCtl("stop")
	if r := b.Ctl("reload"); r.Code != 4 || !strings.Contains(r.Stderr, "not-running") {
		t.Errorf("without a gateway: %v", r)
	}
	b = box.Start(t, box.Options{})
	b.WaitServing(20 * time.Second)
	if r := b.Ctl("reload"); r.Code != 3 || !strings.Contains(r.Stderr, "no-reload") {
		t.Errorf("without a signal: %v", r)
	}
}
