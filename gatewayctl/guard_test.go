// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// unproven returns the states in which no client gets the token.
func unproven() map[string]struct {
	change func(w *fixture)
	reason string
} {
	foreign := listener("[::1]:18789", 9002)
	return map[string]struct {
		change func(w *fixture)
		reason string
	}{
		"stopped":  {func(w *fixture) { w.record.State, w.record.Goal = status.Stopped, status.GoalStop }, "not-running"},
		"starting": {func(w *fixture) { w.record.State = status.Starting }, "unproven"},
		"stopping": {func(w *fixture) { w.record.State = status.Stopping }, "unproven"},
		"backoff":  {func(w *fixture) { w.record.State, w.record.Reason = status.Backoff, "listener-foreign" }, "listener-foreign"},
		"exiting":  {func(w *fixture) { w.record.State, w.record.Goal = status.Stopping, status.GoalExit }, "shutting-down"},
		"no-gateway": {func(w *fixture) {
			w.record.Gateway.Enabled, w.record.Gateway.Process = false, procfs.ID{}
		}, "not-running"},
		"not-healthy":   {func(w *fixture) { w.record.Health.State = status.NotServing }, "health-timeout"},
		"never-healthy": {func(w *fixture) { w.record.Health.State = status.Unknown }, "unproven"},
		"gateway-gone": {func(w *fixture) {
			w.local.Process = func(p procfs.ID) error { return only(p.PID == 34, procfs.ErrGone) }
		}, "identity-changed"},
		"gateway-zombie": {func(w *fixture) {
			w.local.UIDs = func(int) (procfs.Status, error) { return procfs.Status{State: procfs.Zombie}, nil }
		}, "identity-changed"},
		"thief": {func(w *fixture) {
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) { return []sockets.Listener{foreign}, nil }
		}, "listener-foreign: [::1]:18789 of uid 9002"},
		"thief-beside": {func(w *fixture) {
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) {
				return []sockets.Listener{listener("127.0.0.1:18789", 1001), foreign}, nil
			}
		}, "listener-foreign: [::1]:18789 of uid 9002"},
		"no-listener": {func(w *fixture) { w.local.Listeners = func(uint16) ([]sockets.Listener, error) { return nil, nil } }, "listener-missing"},
		"listener-unknown": {func(w *fixture) {
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) { return nil, errors.New("refused") }
		}, "unproven: listener: refused"},
		"thief-at-the-fork": {func(w *fixture) {
			looks := 0
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) {
				if looks++; looks%2 == 0 {
					return []sockets.Listener{foreign}, nil
				}
				return []sockets.Listener{listener("127.0.0.1:18789", 1001)}, nil
			}
		}, "listener-foreign: [::1]:18789 of uid 9002"},
		"listener-unknown-at-the-fork": {func(w *fixture) {
			looks := 0
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) {
				if looks++; looks%2 == 0 {
					return nil, errors.New("too many")
				}
				return []sockets.Listener{listener("127.0.0.1:18789", 1001)}, nil
			}
		}, "unproven: too many"},
		"gone-before-it-is-held": {func(w *fixture) {
			w.local.Hold = func(procfs.ID) (*os.File, error) { return nil, os.NewSyscallError("pidfd_open", syscall.ESRCH) }
		}, "identity-changed: pid 34 is not the gateway any more"},
		"ended-at-the-fork": {func(w *fixture) {
			w.local.Hold = func(procfs.ID) (*os.File, error) { return endedPidfd() }
		}, "identity-changed: pid 34 is not the gateway any more: the process is gone"},
		"no-pidfd": {func(w *fixture) {
			w.local.Hold = func(procfs.ID) (*os.File, error) { return nil, fmt.Errorf("%w: %w", procfs.ErrNoPidfd, syscall.ENOSYS) }
		}, "unproven: cannot watch the gateway"},
	}
}

// endedPidfd returns the pidfd of a process that has ended, which is readable.
func endedPidfd() (*os.File, error) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	fd, err := sys.PidfdOpen(cmd.Process.Pid)
	return os.NewFile(uintptr(fd), "pidfd"), errors.Join(err, cmd.Wait())
}

// TestExecUnproven checks that no client with the token runs while the gateway is
// not proven. Without the token a client runs, and it does not hold the lock.
func TestExecUnproven(t *testing.T) {
	for name, test := range unproven() {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			all := w.clients(7, nil)
			w.up()
			test.change(w)
			w.publish()
			for _, verb := range []string{"tui", "exec"} {
				w.want(w.run(verb, "--", "cat"), exitNotServing, "", "gatewayctl: cannot "+verb+": "+test.reason)
				for _, hint := range []string{"gatewayctl: hint: gatewayctl wait waits", "gatewayctl exec --no-token CMD runs a command without the token, to find out why\n"} {
					if !strings.Contains(w.err.String(), hint) {
						t.Errorf("no %q in %q", hint, w.err.String())
					}
				}
				if strings.Contains(w.err.String(), hexToken[:16]) {
					t.Error("the token is in the message")
				}
			}
			if len(*all) > 0 || w.lockHeld() {
				t.Fatalf("%d clients, the lock is held: %v", len(*all), w.lockHeld())
			}
			w.want(w.run("exec", "--no-token", "cat", "x"), 7, "", "")
			w.want(w.run("exec", "--client", "tui", "--no-token"), 7, "", "")
			for _, l := range *all {
				if l.token != "" || l.grant.Token != nil || l.grant.Gateway != nil || l.held || l.plan.User.Name != "op" {
					t.Errorf("without the token: %+v", l)
				}
			}
			if len(*all) != 2 {
				t.Errorf("%d clients", len(*all))
			}
		})
	}
}

// TestExecNoToken checks that a client without the token needs no supervisor. A
// refused program or user is refused without the token too.
func TestExecNoToken(t *testing.T) {
	for name, test := range map[string]struct {
		args   string
		change func(w *fixture)
		code   int
		says   string
		runs   int
	}{
		"serving":       {"exec --no-token cat", nil, 7, "", 1},
		"no-supervisor": {"exec --no-token cat", func(w *fixture) { must(w.t, os.RemoveAll(w.path)) }, 7, "", 1},
		"off":           {"exec --no-token=false cat", func(w *fixture) { w.record.State = status.Stopped; w.publish() }, 4, "not-running", 0},
		"as-gateway":    {"exec --no-token --user gateway cat", nil, 3, "not-permitted", 0},
		"not-found":     {"exec --no-token no-such-program", nil, 127, "is not found", 0},
		"on-tui":        {"tui --no-token", nil, 2, "-no-token", 0},
		"without-root":  {"exec --no-token cat", func(w *fixture) { w.local.Owner, w.local.EUID = 7, 7 }, 3, "nothing is separated", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			all := w.clients(7, nil)
			w.up()
			if test.change != nil {
				test.change(w)
			}
			w.want(w.run(strings.Fields(test.args)...), test.code, "", test.says)
			if len(*all) != test.runs {
				t.Fatalf("%d clients", len(*all))
			}
			for _, l := range *all {
				if l.token != "" || l.held {
					t.Errorf("got %+v", l)
				}
			}
		})
	}
}
