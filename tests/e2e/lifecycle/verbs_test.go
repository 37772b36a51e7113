// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// step is one command and its result. If state is set, it is the state after the
// command.
type step struct {
	command string
	code    int
	word    string
	state   string
}

// story holds the commands that an operator may run in one state. Those that change
// nothing come first.
type story struct {
	options harness.Options
	reach   func(t *testing.T, c *harness.Container)
	steps   []step
}

// A script could not distinguish "down", "starting", "broken" and "no supervisor", and
// did the wrong thing.
func TestVerbsInEachState(t *testing.T) {
	all := stories()
	for name, s := range brokenStories() {
		all[name] = s
	}
	if harness.Managed() { // a user other than that of PID 1 is refused if it has no supervisor
		nobody := all["no-supervisor"]
		for i := range nobody.steps {
			nobody.steps[i].code, nobody.steps[i].word = 3, "not-permitted"
		}
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, s.options)
			s.reach(t, c)
			for _, step := range s.steps {
				want(t, "gatewayctl "+step.command, c.Ctl(strings.Fields(step.command)...), step.code, step.word)
				if step.state == "" {
					continue
				}
				if r := c.Status(); r.State != step.state {
					t.Errorf("after %s: %s, want %s", step.command, r.State, step.state)
				}
			}
		})
	}
}

func serving(_ *testing.T, c *harness.Container) { c.WaitServing(serveBy) }

// stories returns the states in which nothing is broken.
func stories() map[string]story {
	return map[string]story{
		"serving": {reach: serving, steps: []step{
			{"health", 0, "serving: pid", ""}, {"status", 0, "SERVING", ""}, {"wait", 0, "serving: pid", ""},
			{"reload", 3, "no-reload", ""}, {"probe", 0, "proven", ""}, {"start", 0, "already running: pid", ""}, {"recover", 0, "already running: pid", ""},
			{"restart", 0, "restarted: pid", status.Running}, {"stop", 0, "stopped: pid", status.Stopped},
		}},
		"stopped": {
			reach: func(t *testing.T, c *harness.Container) { serving(t, c); c.MustCtl("stop") },
			steps: []step{
				{"health", 4, "not-running", ""}, {"status", 4, "STOPPED", ""}, {"wait --timeout 1s", 6, "not-running", ""},
				{"probe", 4, "not-running", ""}, {"stop", 0, "there was no gateway to stop", status.Stopped},
				{"start", 0, "started: pid", status.Running}, {"stop", 0, "stopped: pid", status.Stopped},
				{"restart", 0, "started: pid", status.Running}, {"stop", 0, "stopped: pid", status.Stopped},
				{"recover", 0, "started: pid", status.Running},
			},
		},
		// The start goes on for an hour.
		"starting": {
			options: harness.Options{Misbehave: object{"listen_after": never}, Config: gatewayConfig(object{"ready": object{"timeout": never}})},
			reach:   reason(status.Starting, "listener-missing"),
			steps: []step{
				{"health", 4, "listener-missing", ""}, {"status", 4, "STARTING", ""}, {"wait --timeout 1s", 6, "listener-missing", ""},
				{"probe", 4, "listener-missing", ""}, {"start --timeout 1s", 6, "stays queued", status.Starting},
				{"recover --timeout 1s", 6, "stays queued", status.Starting}, {"restart --timeout 1s", 6, "stays queued", status.Starting},
				{"stop", 0, "stopped: pid", status.Stopped}, {"wait --timeout 1s", 6, "not-running", status.Stopped},
			},
		},
		"no-gateway": {
			options: harness.Options{Args: []string{"--no-gateway"}, Command: []string{"demotools", "sleep", "600"}},
			reach: func(t *testing.T, c *harness.Container) {
				c.WaitStatus(serveBy, "the command", func(v harness.View) error {
					if v.Record.Command == nil || v.Record.Command.State != "running" {
						return fmt.Errorf("%+v", v.Record.Command)
					}
					return nil
				})
			},
			steps: []step{
				{"health", 4, "not-running", ""}, {"status", 4, "--no-gateway", ""}, {"wait --timeout 1s", 6, "not-running", ""},
				{"probe", 3, "not-permitted", ""}, {"start", 3, "not-permitted", ""}, {"stop", 3, "not-permitted", ""},
				{"restart", 3, "not-permitted", ""}, {"recover", 3, "not-permitted", ""},
			},
		},
		"no-supervisor": {
			options: harness.Options{Extra: []string{"--entrypoint", "/usr/local/bin/demotools"}, Args: []string{"sleep", "600"}},
			reach:   func(*testing.T, *harness.Container) {},
			steps: []step{
				{"health", 5, "no-supervisor", ""}, {"status", 5, "NO SUPERVISOR", ""}, {"wait", 5, "no-supervisor", ""},
				{"probe", 5, "no supervisor", ""}, {"start", 5, "no supervisor", ""}, {"stop", 5, "no supervisor", ""},
				{"restart", 5, "no supervisor", ""}, {"recover", 5, "no supervisor", ""},
			},
		},
	}
}

// reason waits for a state with a reason.
func reason(state, word string) func(*testing.T, *harness.Container) {
	return func(_ *testing.T, c *harness.Container) {
		c.WaitStatus(serveBy, state+", "+word, func(v harness.View) error {
			if v.Record.State != state || v.Reason != word {
				return fmt.Errorf("%s, %s: %s", v.Record.State, v.Reason, v.Detail)
			}
			return nil
		})
	}
}

// brokenStories returns the states in which the gateway should serve and does not,
// and the shutdown.
func brokenStories() map[string]story {
	slow := gatewayConfig(object{"health": object{"interval": never, "timeout": "500ms"}})
	long := gatewayConfig(object{"restart": object{"backoff_min": never, "backoff_max": never}})
	return map[string]story{
		"deaf": {
			options: harness.Options{Config: slow},
			reach:   func(t *testing.T, c *harness.Container) { serving(t, c); c.Misbehave(object{"status": 503}) },
			steps: []step{
				{"health", 0, "serving", ""}, // PID 1 has not checked yet
				{"probe", 4, "health-timeout", status.Running},
				{"health", 4, "health-timeout", ""}, {"status", 4, "NOT SERVING", ""}, {"wait --timeout 1s", 6, "health-timeout", ""},
				{"start", 4, "health-timeout", status.Running}, {"recover", 0, "restarted: pid", status.Running},
				{"health", 0, "serving", ""}, {"stop", 0, "stopped: pid", status.Stopped},
			},
		},
		// It is alive, and ready.timeout has passed.
		"late": {
			options: harness.Options{Misbehave: object{"status": 503}, Config: gatewayConfig(object{"ready": object{"timeout": "8s"}})}, // the steps have four times as long
			reach: func(t *testing.T, c *harness.Container) {
				harness.Eventually(t, serveBy, "ready.timeout", func() error {
					if len(events(t, c, 0, "not-ready-in-time")) == 0 {
						return errors.New("it has not passed")
					}
					return nil
				})
				c.SetMisbehave(nil)
			},
			steps: []step{
				{"health", 4, "health-timeout", ""}, {"status", 4, "STARTING", ""}, {"wait --timeout 1s", 6, "health-timeout", ""},
				{"probe", 4, "health-timeout", ""}, {"start", 4, "health-timeout", status.Starting},
				{"recover", 0, "restarted: pid", status.Running}, {"stop", 0, "stopped: pid", status.Stopped},
			},
		},
		"backoff": {
			options: harness.Options{Misbehave: object{"start_exit": 9}, Config: long},
			reach:   reason(status.Backoff, "exited"),
			steps: []step{
				{"health", 4, "exited", ""}, {"status", 4, "BACKOFF", ""}, {"wait --timeout 1s", 6, "exited", ""},
				{"probe", 4, "not-running", ""}, {"start", 1, "exited", status.Backoff}, {"recover", 1, "exited", status.Backoff},
				{"restart", 1, "exited", status.Backoff}, {"stop", 0, "there was no gateway to stop", status.Stopped},
				{"start", 1, "exited", status.Backoff},
			},
		},
		"another-token": {
			options: harness.Options{Misbehave: object{"token_mode": "other"}, Config: gatewayConfig(object{"ready": object{"timeout": "2s"}})},
			reach:   reason(status.Starting, "auth-mismatch"),
			steps: []step{
				{"health", 4, "auth-mismatch", ""}, {"status", 4, "auth-mismatch", ""}, {"wait --timeout 1s", 6, "auth-mismatch", ""},
				{"probe", 4, "auth-mismatch", ""}, {"start", 4, "auth-mismatch", status.Starting},
				{"recover", 4, "auth-mismatch", status.Starting}, {"restart", 4, "auth-mismatch", status.Starting},
				{"stop", 0, "stopped: pid", status.Stopped},
			},
		},
		"listener-beside": {
			options: harness.Options{Extra: harness.IPv6()},
			reach: func(t *testing.T, c *harness.Container) {
				serving(t, c)
				c.ExecDetached("sandbox", "demotools", "hold-port", "[::1]:18789")
				reason(status.Running, "listener-foreign")(t, c)
			},
			steps: []step{
				{"health", 4, "listener-foreign", ""}, {"status", 4, "[::1]:18789", ""}, {"wait --timeout 1s", 6, "listener-foreign", ""},
				{"probe", 4, "listener-foreign", ""}, {"start", 4, "listener-foreign", status.Running},
				{"recover", 4, "listener-foreign", status.Running}, {"restart", 4, "listener-foreign", status.Running},
				{"stop", 0, "stopped: pid", status.Stopped}, {"start", 4, "listener-foreign", status.Backoff},
			},
		},
		// The gateway ignores SIGTERM, so the shutdown takes the whole grace.
		"shutting-down": {
			options: harness.Options{Misbehave: object{"ignore_term": true}, Config: gatewayConfig(object{"stop": object{"grace": never}})},
			reach: func(t *testing.T, c *harness.Container) {
				serving(t, c)
				c.Kill("TERM")
				reason(status.Stopping, "shutting-down")(t, c)
			},
			steps: []step{
				{"health", 4, "shutting-down", ""}, {"status", 4, "STOPPING      the container ends", ""}, {"wait --timeout 1s", 6, "shutting-down", ""},
				{"probe", 1, "shutting-down", ""}, {"start", 1, "shutting-down", ""}, {"stop", 1, "shutting-down", ""},
				{"restart", 1, "shutting-down", ""}, {"recover", 1, "shutting-down", status.Stopping},
			},
		},
	}
}

// A wait that begins before the supervisor runs ends with the first proof.
func TestWaitSpansABoot(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Misbehave: object{"listen_after": "2s"}})
	want(t, "wait", c.Ctl("wait", "--timeout", "30s"), 0, "serving: pid")
	if r := c.Status(); r.State != status.Running || time.Since(r.StartedAt) < 2*time.Second {
		t.Errorf("%s, %v after the boot", r.State, time.Since(r.StartedAt))
	}
}
