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

// TestStopBelowAnotherInitReachesEveryProcess checks that the children of the command get
// the stop signal with it, as under docker run --init, and not only when they are killed.
// The log, the record and gatewayctl say that gateway-init is not PID 1.
func TestStopBelowAnotherInitReachesEveryProcess(t *testing.T) {
	b := box.Start(t, box.Options{Below: []string{"/usr/local/bin/demotools", "foreign-init", "0"},
		Command: []string{"/usr/local/bin/demotools", "repeat", "1", "/usr/local/bin/demotools", "sleep", "1000"}})
	r := b.WaitServing(20 * time.Second)
	if r.Init.PID == 1 {
		t.Fatal("it is PID 1")
	}
	b.WaitRecord(10*time.Second, "the command and its child", func(status.Record) error {
		agents := 0
		for _, p := range b.Processes() {
			if p.UID == box.SandboxUID && p.Comm == "demotools" {
				agents++
			}
		}
		if agents != 2 {
			return fmt.Errorf("%d processes of the agent", agents)
		}
		return nil
	})
	listed := errors.New("not listed")
	for _, h := range r.Hardening {
		if h.Name == "not-pid-1" && strings.Contains(h.Detail, "ENTRYPOINT") {
			listed = nil
		}
	}
	if listed != nil || !strings.Contains(b.Log(), `"event":"hardening","name":"not-pid-1"`) || !strings.Contains(b.MustCtl("status"), "not-pid-1") {
		t.Errorf("hardening is %v\n%s", r.Hardening, b.MustCtl("status"))
	}
	b.Signal(unix.SIGTERM)
	if s := b.Wait(20 * time.Second); s.ExitStatus() != 143 {
		t.Errorf("ended with %d", s.ExitStatus())
	}
	if strings.Contains(b.Log(), `"event":"killed"`) {
		t.Error("a process that did not get the stop signal was killed when the grace was over")
	}
}
