// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/clientlock"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestExecKilled checks that a killed client has no exit code of its own.
func TestExecKilled(t *testing.T) {
	const again = "gatewayctl: hint: gatewayctl wait waits until the gateway serves; then run it again\n"
	const rotate = "gatewayctl: hint: the client may have sent the token to another listener: gatewayctl restart --rotate-token\n"
	for name, c := range map[string]struct {
		cause error
		want  string
	}{
		"gateway-ended": {client.ErrGatewayEnded,
			"gatewayctl: ended the client: the gateway has ended, and another process may have its port\n" + again},
		"listener-foreign": {&operate.NotServedError{Verdict: operate.NotServingVerdict("listener-foreign", "[::1]:18789 of uid 9002")},
			"gatewayctl: ended the client: listener-foreign: [::1]:18789 of uid 9002\n" + again + rotate},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			all := w.clients(0, &client.KilledError{Cause: c.cause})
			w.up()
			for _, verb := range []string{"tui", "exec"} {
				if w.want(w.run(verb, "--", "cat"), exitNotServing, "", c.want); w.err.String() != c.want {
					t.Errorf("got %q", w.err.String())
				}
			}
			if len(*all) != 2 || w.lockHeld() {
				t.Errorf("%d clients, the lock is held: %v", len(*all), w.lockHeld())
			}
		})
	}
}

// TestMark checks when a client leaves a mark. At its end it may have sent the token to
// another process, unless the gateway lives and has its port. The mark outlives the lock,
// so that PID 1 finds it at the gateway's end, however much later that is.
func TestMark(t *testing.T) {
	ours := []sockets.Listener{listener("127.0.0.1:18789", 1001)}
	foreign := append([]sockets.Listener{listener("[::1]:18789", 9002)}, ours...)
	for name, c := range map[string]struct {
		at    []sockets.Listener // listeners at the client's end
		looks []sockets.Listener // listeners at one check while it runs
		kill  bool               // the gateway ends before the client
		note  bool               // PID 1 notices that
		lost  bool               // a process of the client survives
		want  bool
	}{
		"serves":           {at: ours, looks: ours},
		"gateway-ended":    {looks: ours, kill: true, note: true},
		"not-noted":        {looks: ours, kill: true, want: true},
		"port-closed":      {looks: ours, want: true},
		"port-taken":       {at: foreign, looks: ours, want: true},
		"closed-meanwhile": {at: ours, want: true},
		"taken-meanwhile":  {at: ours, looks: foreign, want: true},
		"survivor":         {at: ours, looks: ours, lost: true, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.clients(0, nil)
			w.up()
			now := ours
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) { return now, nil }
			gateway := exec.Command("sleep", "1000")
			testenv.Must(t, gateway.Start())
			defer gateway.Wait()
			defer gateway.Process.Kill()
			w.local.Hold = func(procfs.ID) (*os.File, error) {
				fd, err := sys.PidfdOpen(gateway.Process.Pid)
				return os.NewFile(uintptr(fd), "pidfd"), err
			}
			w.kernel.launch = func(_ *client.Plan, g client.Grant, _ client.Stdio) (int, error) {
				err := g.Check()
				if !w.lockHeld() {
					t.Error("the lock is free while the client lives")
				}
				now = c.looks
				g.Again()
				now = c.at
				if c.kill {
					err = errors.Join(err, gateway.Process.Kill())
					gateway.Wait()
				}
				if c.note {
					go func() { // a moment after the look that must find the lock held
						if !w.lockHeld() {
							t.Error("the lock is free before PID 1 has tested it")
						}
						w.record.Gateway.Process = procfs.ID{}
						w.publish()
					}()
				}
				if !c.lost {
					g.Gone()
				}
				return 5, err
			}
			if code := w.run("exec", "cat"); code != 5 {
				t.Errorf("exit code %d: %s", code, w.err.String())
			}
			if got := w.lockHeld(); got != c.want { // the client that had the lock has ended
				t.Errorf("PID 1 finds a client: %v", got)
			}
			testenv.Must(t, clientlock.Clear(w.lock))
			if w.lockHeld() {
				t.Error("the lock is held afterwards")
			}
		})
	}
}
