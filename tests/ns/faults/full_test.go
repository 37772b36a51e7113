// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// gateways returns the live processes of the gateway that PID 1 started, workers
// included.
func gateways(b *box.Box) (pids []int) {
	for _, p := range b.Processes() {
		if p.UID == box.GatewayUID && p.Parent == 1 && p.Comm == "demogateway" && !strings.HasPrefix(p.State, "Z") {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// waitGateway waits for a gateway that is not old.
func waitGateway(t *testing.T, b *box.Box, old int, deadline time.Duration) int {
	t.Helper()
	for end := time.Now().Add(testenv.AtMost(t, deadline)); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if pids := gateways(b); len(pids) == 1 && pids[0] != old {
			return pids[0]
		}
	}
	t.Fatalf("no other gateway than %d within %v: %v", old, deadline, b.Processes())
	return 0
}

// Scenario F05, a full runtime directory. With plain --tmpfs /run the agent can
// fill the file system of the status and the replies. That must neither stop nor
// blind the supervisor.
func TestFullRuntimeDirKeepsGatewayAlive(t *testing.T) {
	b := box.Start(t, box.Options{
		Mounts: []box.Mount{{At: "/run", Data: "mode=1777,size=256k"}},
		Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "1s", "timeout": "1s"}}},
	})
	before := b.WaitServing(10 * time.Second)
	said, ballast, ok := strings.Cut(strings.TrimSpace(b.Tools(box.SandboxUID, "fill", "/run", "0")), ": ")
	if !ok || !strings.HasPrefix(said, "full after") {
		t.Fatal(said)
	}
	old, err := os.ReadFile(b.Path(box.Runtime + "/" + status.Name))
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(b.Path(box.Runtime + "/gateway-token"))
	if err != nil {
		t.Fatal(err)
	}

	// Failed writes leave the old record in place.
	waitLog(b, `"event":"status-write-failed"`)
	if now, err := os.ReadFile(b.Path(box.Runtime + "/" + status.Name)); err != nil || string(now) != string(old) {
		t.Errorf("the old status is gone: %q %v", now, err)
	}
	b.WaitServing(time.Second)

	// It still keeps the gateway alive.
	b.Tools(0, "sigsend", fmt.Sprint(before.Gateway.PID), "KILL")
	second := waitGateway(t, b, before.Gateway.PID, 10*time.Second)
	// The record names a dead gateway, which must never be shown as serving.
	if v, err := b.TryView(); err != nil || v.Serving {
		t.Errorf("with the record of a dead gateway: serving=%t %s: %s, %v", v.Serving, v.Reason, v.Detail, err)
	}

	// A request takes effect, even if there is no space for its answer.
	r := b.Ctl("restart", "--timeout", "5s")
	if r.Code == 0 {
		t.Errorf("a restart that could not be answered: %v", r)
	}
	third := waitGateway(t, b, second, 10*time.Second)
	// A rotation cannot be prepared. It is refused, and the old gateway still
	// serves.
	if r := b.Ctl("restart", "--rotate-token", "--timeout", "2s"); r.Code == 0 {
		t.Errorf("a rotation without room: %v", r)
	}
	if pids := gateways(b); len(pids) != 1 || pids[0] != third {
		t.Errorf("gateways %v, want %d alone", pids, third)
	}
	if now, err := os.ReadFile(b.Path(box.Runtime + "/gateway-token")); err != nil || string(now) != string(token) {
		t.Errorf("the token has changed: %v", err)
	}

	// Once there is space again, everything is reported without any command.
	b.Tools(box.SandboxUID, "rm", ballast)
	b.WaitRecord(5*time.Second, "a status of the present gateway", func(r status.Record) error {
		if r.Gateway.PID != third || r.State != status.Running {
			return fmt.Errorf("it is of %d, %s", r.Gateway.PID, r.State)
		}
		return nil
	})
	b.WaitServing(time.Second)
	b.MustCtl("restart", "--rotate-token")
	if now, err := os.ReadFile(b.Path(box.Runtime + "/gateway-token")); err != nil || string(now) == string(token) {
		t.Errorf("the token was not rotated: %v", err)
	}
	if _, err := os.Stat(b.Path(box.Runtime + "/gateway-token.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a prepared token was left: %v", err)
	}
	b.Signal(unix.SIGTERM)
	if s := b.Wait(9 * time.Second); s.ExitStatus() != 0 {
		t.Errorf("ended with %d", s.ExitStatus())
	}
}
