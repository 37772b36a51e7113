// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// stops are the signals that end the container in gateway mode.
var stops = map[syscall.Signal]bool{unix.SIGTERM: true, unix.SIGINT: true, unix.SIGQUIT: true, unix.SIGPWR: true, 37: true}

// quiet disables health checks in a test that compares before and after.
var quiet = map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "10m"}}}

// unchanged fails unless the same gateway serves.
func unchanged(t *testing.T, b *box.Box, before status.Record) {
	t.Helper()
	if b.Ended() {
		t.Fatalf("PID 1 has ended\n%s", b.Log())
	}
	after := b.WaitServing(5 * time.Second)
	if after.Gateway.Process != before.Gateway.Process || after.Crashes != before.Crashes || after.Restarts != before.Restarts {
		t.Errorf("gateway %+v, crashes %d, restarts %d became %+v, %d, %d", before.Gateway.Process, before.Crashes, before.Restarts,
			after.Gateway.Process, after.Crashes, after.Restarts)
	}
}

// Scenario F03. No signal of the agent reaches PID 1. Of root's signals only
// the documented ones have an effect. A burst of 20,000 changes nothing.
//
// An init that leaves a signal to its language's runtime dies of a stray SIGUSR2.
// If the agent can signal it, the agent can stop it.
func TestOnlyDocumentedSignalsHaveEffect(t *testing.T) {
	t.Run("from-the-agent", func(t *testing.T) {
		b := box.Start(t, box.Options{Config: quiet})
		before := b.WaitServing(20 * time.Second)
		gateway := fmt.Sprint(before.Gateway.PID)
		for _, target := range []string{"1", gateway} {
			out := b.Tools(box.SandboxUID, "sigall", target)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if len(lines) != 62 {
				t.Errorf("sigall %s tried %d signals", target, len(lines))
			}
			for _, line := range lines {
				if !strings.HasSuffix(line, " EPERM") {
					t.Errorf("signal to pid %s from the agent: %s", target, line)
				}
			}
		}
		for _, sig := range []string{"KILL", "STOP"} {
			if r := b.Exec(box.SandboxUID, "demotools", "sigsend", "1", sig); !strings.Contains(r.Stderr, "not permitted") {
				t.Errorf("SIG%s from the agent: %v", sig, r)
			}
		}
		unchanged(t, b, before)
	})

	// All but the documented ones go to one box. Together they must have no effect.
	t.Run("from-root-others", func(t *testing.T) {
		b := box.Start(t, box.Options{Config: quiet})
		before := b.WaitServing(20 * time.Second)
		for n := syscall.Signal(1); n <= 64; n++ {
			if stops[n] {
				continue
			}
			// For a signal from inside, the kernel protects PID 1 if it has no
			// handler. That includes KILL and STOP. From outside only those two
			// take effect.
			b.Tools(0, "sigsend", "1", fmt.Sprint(int(n)))
			if n != unix.SIGKILL && n != unix.SIGSTOP {
				b.Signal(n)
			}
			if b.Ended() {
				t.Fatalf("signal %d ended PID 1", n)
			}
		}
		unchanged(t, b, before)
		// A signal that stops other programs is said once, so that a wrong STOPSIGNAL shows.
		for _, name := range []string{"window changed", "user defined signal 1", "user defined signal 2", "hangup"} {
			waitLog(b, `"event":"signal-ignored","signal":"`+name+`"`)
			if n := strings.Count(b.Log(), `"event":"signal-ignored","signal":"`+name+`"`); n != 1 {
				t.Errorf("%s: said %d times", name, n)
			}
		}
		if n := strings.Count(b.Log(), `"event":"signal-ignored"`); n != 4 {
			t.Errorf("%d lines", n)
		}
	})

	for sig := range stops {
		t.Run("from-root-"+sig.String(), func(t *testing.T) {
			b := box.Start(t, box.Options{Config: quiet, Command: []string{"/usr/local/bin/demotools", "sleep", "1000"}})
			b.WaitServing(20 * time.Second)
			b.WaitRecord(5*time.Second, "the command", func(r status.Record) error {
				if r.Command == nil || r.Command.PID == 0 {
					return fmt.Errorf("command is %+v", r.Command)
				}
				return nil
			})
			b.Signal(sig)
			// The command exits with 143 on the TERM that it is sent. It gets INT and
			// QUIT only from a terminal.
			if s := b.Wait(9 * time.Second); s.ExitStatus() != 143 {
				t.Errorf("ended with %v %d", s.Exited(), s.ExitStatus())
			}
		})
	}

	t.Run("burst", func(t *testing.T) {
		b := box.Start(t, box.Options{Config: quiet})
		before := b.WaitServing(20 * time.Second)
		for _, sig := range []string{"CHLD", "USR1", "WINCH", "50", "40"} {
			b.Tools(0, "sigsend", "1", sig, "4000")
		}
		unchanged(t, b, before)
		b.MustCtl("restart")
		if r := b.WaitServing(10 * time.Second); r.Gateway.Process == before.Gateway.Process {
			t.Error("restart after the burst kept the gateway")
		}
		b.Signal(unix.SIGTERM)
		if s := b.Wait(9 * time.Second); s.ExitStatus() != 0 {
			t.Errorf("ended with %d", s.ExitStatus())
		}
	})
}
