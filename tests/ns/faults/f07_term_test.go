// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

const (
	grace = time.Second
	// bound is the scenario's limit: the grace and one second.
	bound = grace + time.Second
	// killed is the exit code if a process had to be killed.
	killed = 137
)

// brief returns the demo's configuration with a short grace and without health
// checks that could interfere.
func brief(more map[string]any) map[string]any {
	gateway := map[string]any{"stop": map[string]any{"grace": grace.String()}, "health": map[string]any{"interval": "10m"}}
	for k, v := range more {
		gateway[k] = v
	}
	return map[string]any{"gateway": gateway}
}

// Scenario F07. After SIGTERM in any state (boot, between fork and exec,
// proving, backoff, stopping, twice) the container ends within the grace
// period and one second, and no process is left.
//
// An init lost a TERM between its fork and its child's exec. The engine waited its
// whole timeout and then killed everything.
func TestTermEndsContainerInEveryState(t *testing.T) {
	t.Run("boot-to-serving", func(t *testing.T) {
		// TERM comes at every step, from the first line to the first health check.
		// These are some 120 moments over twice the time of one boot.
		const moments = 120
		b := box.Start(t, box.Options{Config: brief(nil)})
		begin := time.Now()
		b.WaitState(status.Running, 20*time.Second)
		boot := time.Since(begin)
		states := map[string]int{}
		for i := range moments {
			b := box.Start(t, box.Options{Config: brief(nil)})
			// Until PID 1 has a handler the kernel drops the signal, as for every
			// init.
			for !b.Ended() && !b.Catches(1, unix.SIGTERM) {
			}
			for end := time.Now().Add(time.Duration(i) * 2 * boot / moments); time.Now().Before(end); {
			}
			r, _ := b.Record()
			b.Signal(unix.SIGTERM)
			s := b.Wait(bound)
			states[r.State]++
			// Before PID 1 subscribes (init/boot), the first handler ends the process
			// (init/plain/entry). Nothing has been started then.
			early := s.ExitStatus() == 143 && b.Log() == ""
			if s.ExitStatus() != 0 && !early {
				t.Fatalf("moment %d, state %q: ended with %d\n%s", i, r.State, s.ExitStatus(), b.Log())
			}
		}
		t.Logf("a boot takes %v; state at the signal: %v", boot, states)
		if states[""] == 0 || states[status.Starting] == 0 || states[status.Running] == 0 {
			t.Errorf("the moments do not reach from boot to serving: %v", states)
		}
	})

	for name, c := range map[string]struct {
		o     box.Options
		reach func(b *box.Box)
		code  int
	}{
		"no-listener-yet": {
			o:     box.Options{Misbehave: map[string]any{"listen_after": "1h"}},
			reach: func(b *box.Box) { waitReason(b, status.Starting, "listener-missing") },
		},
		"proving": {
			o:     box.Options{Misbehave: map[string]any{"accept": "hang"}},
			reach: func(b *box.Box) { waitWorker(b) },
		},
		"backoff": {
			o:     box.Options{Misbehave: map[string]any{"start_exit": 1}, Config: brief(map[string]any{"restart": map[string]any{"backoff_min": "30s"}})},
			reach: func(b *box.Box) { b.WaitState(status.Backoff, 10*time.Second) },
		},
		"port-taken": {
			reach: func(b *box.Box) {
				b.WaitServing(10 * time.Second)
				b.MustCtl("stop")
				b.Start(box.SandboxUID, "demotools", "hold-port", "-retry", "10", "127.0.0.1:18789")
				waitPort(b, 18789) // otherwise the gateway could be first
				b.Start(0, "gatewayctl", "start")
				waitReason(b, status.Backoff, "listener-foreign")
			},
		},
		"stopped": {
			reach: func(b *box.Box) {
				b.WaitServing(10 * time.Second)
				b.MustCtl("stop")
			},
		},
		"stopping-for-a-restart": {
			o: box.Options{Misbehave: map[string]any{"drain": "800ms"}},
			reach: func(b *box.Box) {
				b.WaitServing(10 * time.Second)
				b.Start(0, "gatewayctl", "restart")
				b.WaitState(status.Stopping, 5*time.Second)
			},
		},
		"stopping-a-deaf-one": {
			o: box.Options{Misbehave: map[string]any{"ignore_term": true}},
			reach: func(b *box.Box) {
				b.WaitServing(10 * time.Second)
				b.Start(0, "gatewayctl", "stop")
				b.WaitState(status.Stopping, 5*time.Second)
			},
			code: killed,
		},
		"draining-for-long": { // the container's grace replaces the request's
			o: box.Options{Misbehave: map[string]any{"ignore_term": true}},
			reach: func(b *box.Box) {
				b.WaitServing(10 * time.Second)
				b.Start(0, "gatewayctl", "restart", "--drain", "60s")
				b.WaitState(status.Stopping, 5*time.Second)
			},
			code: killed,
		},
		"gateway-that-ignores-it": {
			o:     box.Options{Misbehave: map[string]any{"ignore_term": true}},
			reach: func(b *box.Box) { b.WaitServing(10 * time.Second) },
			code:  killed,
		},
		"helper-that-ignores-it": {
			o:     box.Options{Misbehave: map[string]any{"helper": true, "hold_stdout": true}},
			reach: func(b *box.Box) { b.WaitServing(10 * time.Second) },
		},
		"stopped-gateway-process": {
			reach: func(b *box.Box) {
				r := b.WaitServing(10 * time.Second)
				b.Tools(0, "sigsend", strconv.Itoa(r.Gateway.PID), "STOP") // SIGCONT comes with SIGTERM
			},
		},
		"command": {
			o:     box.Options{Command: []string{"demotools", "sleep", "1000"}},
			reach: func(b *box.Box) { waitCommand(b) },
			code:  143,
		},
		"command-that-ignores-it": {
			o: box.Options{Command: []string{"demotools", "stubborn", "1000"}},
			reach: func(b *box.Box) {
				waitCommand(b)
				waitLog(b, "ignoring ")
			},
			code: killed,
		},
		"orphan-of-the-agent-that-ignores-it": {
			reach: func(b *box.Box) {
				b.WaitServing(10 * time.Second)
				b.Start(box.SandboxUID, "demotools", "orphan", "stubborn", "1000")
				b.WaitRecord(10*time.Second, "an orphan that ignores TERM", func(status.Record) error {
					for _, p := range b.Processes() {
						if p.UID == box.SandboxUID && p.Parent == 1 && b.Ignores(p.PID, unix.SIGTERM) {
							return nil
						}
					}
					return fmt.Errorf("processes: %v", b.Processes())
				})
			},
			code: killed,
		},
	} {
		for times, suffix := range map[int]string{1: "once", 5: "five-times"} {
			t.Run(name+"/"+suffix, func(t *testing.T) {
				o := c.o
				if o.Config == nil {
					o.Config = brief(nil)
				}
				b := box.Start(t, o)
				c.reach(b)
				for range times {
					b.Signal(unix.SIGTERM)
				}
				if s := b.Wait(bound); s.ExitStatus() != c.code {
					t.Errorf("ended with %d, want %d", s.ExitStatus(), c.code)
				}
				if !strings.Contains(b.Log(), `"event":"terminated"`) {
					t.Error("the log does not say how it ended")
				}
			})
		}
	}
}

func waitReason(b *box.Box, state, reason string) {
	b.WaitRecord(10*time.Second, state+" with "+reason, func(r status.Record) error {
		if r.State != state || string(r.Reason) != reason {
			return fmt.Errorf("it is %s, %s: %s", r.State, r.Reason, r.Detail)
		}
		return nil
	})
}

// waitWorker waits for a proof worker, a second process of the gateway's uid.
func waitWorker(b *box.Box) {
	b.WaitRecord(10*time.Second, "a proof worker", func(r status.Record) error {
		for _, p := range b.Processes() {
			if p.UID == box.GatewayUID && p.PID != r.Gateway.PID && r.Gateway.PID != 0 && p.Parent == 1 {
				return nil
			}
		}
		return fmt.Errorf("processes: %v", b.Processes())
	})
}

func waitCommand(b *box.Box) status.Record {
	return b.WaitRecord(10*time.Second, "the command", func(r status.Record) error {
		if r.Command == nil || r.Command.PID == 0 {
			return fmt.Errorf("command is %+v", r.Command)
		}
		// Its re-exec child would exit by the signal too, with another code.
		data, err := os.ReadFile(b.Path(fmt.Sprintf("/proc/%d/comm", r.Command.PID)))
		if err == nil && string(data) != "demotools\n" {
			err = fmt.Errorf("it is %q", data)
		}
		return err
	})
}

// waitPort waits for an IPv4 socket that listens on the port of the box.
func waitPort(b *box.Box, port int) {
	b.WaitRecord(10*time.Second, "a listener", func(status.Record) error {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", b.PID))
		if err == nil && !strings.Contains(string(data), fmt.Sprintf(":%04X 00000000:0000 0A ", port)) { // proc_net(5)
			err = errors.New("there is none")
		}
		return err
	})
}

func waitLog(b *box.Box, text string) {
	b.WaitRecord(10*time.Second, fmt.Sprintf("%q in the log", text), func(status.Record) error {
		if !strings.Contains(b.Log(), text) {
			return errors.New("it is not there")
		}
		return nil
	})
}
