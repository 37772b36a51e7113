// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// waitRequester waits until gatewayctl runs in the container, or has ended there.
func waitRequester(t *testing.T, c *harness.Container, done <-chan harness.Result) {
	t.Helper()
	harness.Eventually(t, boot, "gatewayctl to run", func() error {
		for _, p := range c.Processes() {
			if p.Comm == "gatewayctl" {
				return nil
			}
		}
		if len(done) > 0 {
			return nil
		}
		return fmt.Errorf("not among %v", c.Processes())
	})
}

// killRequester kills the gatewayctl that docker exec started in the container. The
// end of the engine's command would leave it running. It reports whether it found
// one.
func killRequester(t *testing.T, c *harness.Container) bool {
	t.Helper()
	killed := false
	for _, p := range c.Processes() {
		if p.Comm == "gatewayctl" && p.State[0] != 'Z' {
			if err := syscall.Kill(p.HostPID, syscall.SIGKILL); err == nil {
				killed = true
			}
		}
	}
	return killed
}

// Scenario L21. A requester can be killed at any moment. No cleanup is
// needed, and the next request works.
//
// A requester that was killed left a lock and a marker behind, and every
// later request was refused (#6868).
func TestKilledRequesterBlocksNoRequest(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"restart": {"restart"}, "rotate": {"restart", "--rotate-token"}, "stop": {"stop"},
		"recover": {"recover"}, "probe": {"probe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Slow enough for a kill in the middle.
			c := harness.Start(t, harness.Options{Misbehave: map[string]any{"drain": "150ms", "delay": "20ms"}})
			c.WaitServing(boot)
			kills := 0
			// The test is about the moment of the kill, so it waits on the clock.
			for delay := time.Duration(0); delay <= 400*time.Millisecond; delay += 25 * time.Millisecond {
				done := async(c, args...)
				waitRequester(t, c, done)
				<-time.After(delay)
				if killRequester(t, c) {
					kills++
				}
				wait(t, done, boot)
				checkRestarted(t, wait(t, async(c, "restart"), boot))
				checkNothingLeft(t, c)
			}
			if kills == 0 {
				t.Error("no requester was killed")
			}
			if err := answers(c); err != nil {
				t.Error(err)
			}
		})
	}
}

// Scenario L21, each stage. A restart is carried out although its requester is
// killed, whatever its stage, and the next request waits its turn.
func TestRestartOutlivesItsKilledRequester(t *testing.T) {
	t.Parallel()
	for stage, misbehave := range map[string]map[string]any{
		"stopping": {"drain": "4s"},
		"proving":  {"listen_after": "4s"},
	} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Misbehave: misbehave})
			before := c.WaitServing(boot)
			done := async(c, "restart")
			c.WaitStatus(boot, "stage "+stage, func(v harness.View) error {
				if r := v.Record.Request; r == nil || r.Stage != stage {
					return fmt.Errorf("request: %+v", r)
				}
				return nil
			})
			if !killRequester(t, c) {
				t.Fatal("there is no requester")
			}
			if r := wait(t, done, boot); r.Code == 0 {
				t.Errorf("a requester that was killed: %v", r)
			}
			after := c.WaitNewGateway(before.Gateway.Process, boot)
			if after.Restarts != 1 || after.LastRequest == nil || after.LastRequest.Action != "restart" {
				t.Errorf("the effect of the request: restarts %d, last request %+v", after.Restarts, after.LastRequest)
			}
			checkRestarted(t, c.Ctl("restart"))
			checkNothingLeft(t, c)
		})
	}
}

// checkNothingLeft fails the test if the runtime directory has a file that a user might
// have to remove, such as a lock, a marker or an unfinished file.
func checkNothingLeft(t *testing.T, c *harness.Container) {
	t.Helper()
	want := map[string]bool{"control": true, "gateway-token": true, "gateway-token.reserve": true, "status.json": true, "status.json.reserve": true, "clients.lock": true}
	entries, err := os.ReadDir(c.RuntimePath(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		// The status is replaced at any time, under the name .new for an instant.
		if !want[e.Name()] && e.Name() != "status.json.new" {
			t.Errorf("left in the runtime directory: %s", e.Name())
		}
	}
	entries, err = os.ReadDir(c.RuntimePath("control"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains([]string{"request", "replies", "spare-0", "spare-1", "spare-2", "spare-3"}, e.Name()) { // the spares are PID 1's reserve
			t.Errorf("left in the control directory: %s", e.Name())
		}
	}
}

// Scenario L21, half a line. After a requester died that had written half a line,
// the next request was lost and waited for its whole deadline.
func TestHalfLineNeverSwallowsNextRequest(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(boot)
	for name, text := range map[string]string{
		"half": "v1 0123456789abcdef", "one-byte": "v", "long": string(make([]byte, 3000)), "newlines": "\n\n\n",
	} {
		f, err := os.OpenFile(c.RuntimePath("control/request"), os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		f.Close()
		r := c.Ctl("restart", "--timeout", "20s")
		if r.Code != 0 {
			t.Errorf("restart after %s: %v", name, r)
		}
	}
}
