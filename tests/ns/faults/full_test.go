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
	token, err := os.ReadFile(b.Path(box.Runtime + "/gateway-token"))
	if err != nil {
		t.Fatal(err)
	}

	// It still keeps the gateway alive, and the status is true.
	b.Tools(0, "sigsend", fmt.Sprint(before.Gateway.PID), "KILL")
	second := waitGateway(t, b, before.Gateway.PID, 10*time.Second)
	if r := b.WaitServing(10 * time.Second); r.Gateway.PID != second {
		t.Errorf("the record is of %d, and %d serves", r.Gateway.PID, second)
	}

	// Requests are answered, more of them than there are spare files.
	third := second
	for range 20 {
		b.MustCtl("restart", "--timeout", "20s")
		b.MustCtl("probe", "--timeout", "20s")
		if r := b.WaitServing(10 * time.Second); r.Gateway.PID == third {
			t.Fatalf("the record is of %d, which was restarted", third)
		} else {
			third = r.Gateway.PID
		}
	}
	for _, event := range []string{"status-write-failed", "reply-write-failed"} {
		if strings.Contains(b.Log(), `"event":"`+event+`"`) {
			t.Errorf("%s on a full file system", event)
		}
	}
	// A rotation has its own reserve, which is made again when the old token is gone.
	for range 2 {
		b.MustCtl("restart", "--rotate-token", "--timeout", "20s")
		now, err := os.ReadFile(b.Path(box.Runtime + "/gateway-token"))
		if err != nil || string(now) == string(token) {
			t.Errorf("the token was not rotated: %v", err)
		}
		token, third = now, b.WaitServing(10*time.Second).Gateway.PID
	}
	// Without the reserve it cannot be prepared. It is refused with the remedy, and the
	// old gateway still serves.
	testenv.Must(t, os.Remove(b.Path(box.Runtime+"/gateway-token.reserve")))
	b.Tools(box.SandboxUID, "fill", "/run", "0")
	if r := b.Ctl("restart", "--rotate-token", "--timeout", "20s"); r.Code != 1 || !strings.Contains(r.Stderr, "token-failed") || !strings.Contains(r.Stderr, "see that the runtime directory has space (df); then: gatewayctl restart --rotate-token") {
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

// TestFullWithoutReserveKeepsTheOldRecord checks what is left if root removed the reserve:
// the old record remains, gatewayctl calls it old and names the remedy, and the gateway is
// kept alive. Once there is space, record and reserve are there again.
func TestFullWithoutReserveKeepsTheOldRecord(t *testing.T) {
	b := box.Start(t, box.Options{
		Mounts: []box.Mount{{At: "/run", Data: "mode=1777,size=256k"}},
		Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "1s", "timeout": "1s"}}},
	})
	before := b.WaitServing(10 * time.Second)
	record, reserve := b.Path(box.Runtime+"/status.json"), b.Path(box.Runtime+"/status.json.reserve")
	testenv.Must(t, os.Remove(reserve))
	_, ballast, _ := strings.Cut(strings.TrimSpace(b.Tools(box.SandboxUID, "fill", "/run", "0")), ": ")
	old, err := os.ReadFile(record)
	testenv.Must(t, err)
	b.Tools(0, "sigsend", fmt.Sprint(before.Gateway.PID), "KILL")
	second := waitGateway(t, b, before.Gateway.PID, 10*time.Second)
	waitLog(b, `"event":"status-write-failed"`)
	if now, err := os.ReadFile(record); err != nil || string(now) != string(old) {
		t.Errorf("the record has changed: %s, %v", now, err)
	}
	if r := b.Ctl("status"); r.Code != 4 || !strings.Contains(r.Stdout, "is full: make room there") {
		t.Errorf("status: %v", r)
	}
	b.Tools(box.SandboxUID, "rm", ballast)
	b.WaitRecord(10*time.Second, "a status of the present gateway", func(r status.Record) error {
		if r.Gateway.PID != second {
			return fmt.Errorf("it is of %d", r.Gateway.PID)
		}
		return nil
	})
	b.WaitServing(10 * time.Second)
	testenv.Eventually(t, "another reserve", func() bool { _, err := os.Stat(reserve); return err == nil })
}
