// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// evictPort is the configuration in which PID 1 ends processes that keep the port.
var evictPort = map[string]any{"sandbox": map[string]any{"evict_port": true}}

// onPort and besideIt are addresses at which the agent has the gateway's port.
var (
	onPort   = fmt.Sprintf("127.0.0.1:%d", harness.Port)
	besideIt = fmt.Sprintf("127.0.0.2:%d", harness.Port)
)

// holds starts a process of the agent that has the port, and waits for its listener.
func holds(t *testing.T, b *box.Box, args ...string) {
	t.Helper()
	addr := args[len(args)-1]
	b.Start(box.SandboxUID, append([]string{"demotools", "hold-port"}, args...)...)
	testenv.Eventually(t, "the agent's listener", func() bool { return b.Exec(box.SandboxUID, "demotools", "connect", addr).Code == 0 })
}

// agents returns how many processes of the agent there are.
func agents(b *box.Box) (n int) {
	for _, p := range b.Processes() {
		if p.UID == box.SandboxUID {
			n++
		}
	}
	return n
}

// Scenario F18. If the configuration says so, PID 1 ends the processes of the agent that
// have the gateway's port, when they keep a start or a restart from happening, and neither
// the command nor other processes.
//
// An agent that listened on the port kept a gateway that had ended from starting, and a
// token from being rotated, until root had found and ended its process by hand.
func TestAgentCannotKeepThePort(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		hides bool // the kernel does not show whose the listener is, so all of the agent's end
	}{
		"visible": {[]string{onPort}, false},
		"hidden":  {[]string{"-hide", onPort}, true},
	} {
		t.Run("start-"+name, func(t *testing.T) {
			t.Parallel()
			b := box.Start(t, box.Options{Config: evictPort, Command: []string{"demotools", "sleep", "3600"}})
			b.WaitServing(20 * time.Second)
			b.MustCtl("stop")
			b.Start(box.SandboxUID, "demotools", "sleep", "3600")
			holds(t, b, c.args...)
			b.MustCtl("start")
			want := 2 // the command and the other process
			if c.hides {
				want = 1
			}
			testenv.Eventually(t, "the end of the agent's processes", func() bool { return agents(b) == want })
			if n := strings.Count(b.Log(), `"event":"evicted"`); n != 1 {
				t.Errorf("%d lines about it", n)
			}
		})
	}
	for _, args := range [][]string{{"restart"}, {"restart", "--rotate-token"}} {
		t.Run(strings.Join(args, ""), func(t *testing.T) {
			t.Parallel()
			b := box.Start(t, box.Options{Config: evictPort, Command: []string{"demotools", "sleep", "3600"}})
			old := b.WaitServing(20 * time.Second)
			holds(t, b, besideIt)
			b.MustCtl(args...)
			if now := b.WaitServing(20 * time.Second); now.Gateway.Process == old.Gateway.Process || now.Crashes != 0 {
				t.Errorf("the gateway was %+v and is %+v, crashes %d", old.Gateway.Process, now.Gateway.Process, now.Crashes)
			}
			if n := agents(b); n != 1 {
				t.Errorf("%d processes of the agent, want the command", n)
			}
		})
	}
}

// TestNoEvictionForThePort checks that no process ends for the port without the key, and
// that the command itself never does.
func TestNoEvictionForThePort(t *testing.T) {
	for name, c := range map[string]struct {
		config  map[string]any
		command []string
	}{
		"off":     {nil, nil},
		"command": {evictPort, []string{"demotools", "hold-port", "-retry", "60", onPort}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := box.Start(t, box.Options{Config: c.config, Command: c.command})
			b.WaitServing(20 * time.Second)
			b.MustCtl("stop")
			if c.command == nil {
				holds(t, b, onPort)
			} else {
				testenv.Eventually(t, "the command's listener", func() bool { return b.Exec(box.SandboxUID, "demotools", "connect", onPort).Code == 0 })
			}
			for range 3 {
				if r := b.Ctl("start", "--timeout", "10s"); r.Code != 4 || !strings.Contains(r.Stderr, "listener-foreign") {
					t.Errorf("start: %v", r)
				}
			}
			if n := agents(b); n != 1 || strings.Contains(b.Log(), `"event":"evicted"`) {
				t.Errorf("%d processes of the agent, want 1", n)
			}
			if b.Ended() {
				t.Error("the container has ended")
			}
			if c.command != nil && !slices.ContainsFunc(b.Processes(), func(p box.Process) bool { return p.UID == box.SandboxUID }) {
				t.Error("the command was ended")
			}
		})
	}
}
