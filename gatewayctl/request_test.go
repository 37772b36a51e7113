// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

func TestRequests(t *testing.T) {
	tests := map[string]struct {
		args  []string
		reply control.Reply
		want  control.Request
		code  int
		out   string
		err   string
	}{
		"restart": {[]string{"restart"}, control.Reply{Outcome: control.OK, OldPID: 12, NewPID: 34},
			control.Request{Action: control.Restart}, 0, "restarted: pid 12 → 34, proven\n", ""},
		"restart-with-all": {[]string{"restart", "--rotate-token", "--drain", "1m", "--timeout", "2m"},
			control.Reply{Outcome: control.OK, OldPID: 12, NewPID: 34},
			control.Request{Action: control.Restart, Rotate: true, Drain: 60}, 0, "restarted: pid 12 → 34, proven, with a new token\n", ""},
		"restart-of-stopped": {[]string{"restart"}, control.Reply{Outcome: control.OK, NewPID: 34},
			control.Request{Action: control.Restart}, 0, "started: pid 34, proven\n", ""},
		"recover-nothing-to-do": {[]string{"recover"}, control.Reply{Outcome: control.AlreadyRunning, OldPID: 34, NewPID: 34},
			control.Request{Action: control.Recover}, 0, "already running: pid 34, proven\n", ""},
		"start": {[]string{"start"}, control.Reply{Outcome: control.OK, NewPID: 34},
			control.Request{Action: control.Start}, 0, "started: pid 34, proven\n", ""},
		"stop": {[]string{"stop"}, control.Reply{Outcome: control.Stopped, OldPID: 34},
			control.Request{Action: control.Stop}, 0, "stopped: pid 34\n", ""},
		"stop-of-stopped": {[]string{"stop"}, control.Reply{Outcome: control.Stopped},
			control.Request{Action: control.Stop}, 0, "stopped: there was no gateway to stop\n", ""},
		"probe": {[]string{"probe"}, control.Reply{Outcome: control.OK, OldPID: 34, NewPID: 34},
			control.Request{Action: control.Probe}, 0, "serving: pid 34, proven\n", ""},
		"reload": {[]string{"reload"}, control.Reply{Outcome: control.OK, OldPID: 34, NewPID: 34},
			control.Request{Action: control.Reload}, 0, "reloaded: pid 34 got the signal, proven\n", ""},
		"reload-without-signal": {[]string{"reload"}, control.Reply{Outcome: control.Failed, Reason: reason.NoReload, OldPID: 34, NewPID: 34},
			control.Request{Action: control.Reload}, 3, "", "no-reload: the configuration names no signal for a reload (pid 34)\n"},
		"probe-not-running": {[]string{"probe"}, control.Reply{Outcome: control.Failed, Reason: reason.NotRunning},
			control.Request{Action: control.Probe}, 4, "", "gatewayctl: cannot probe: not-running: there is no gateway running\ngatewayctl: hint: gatewayctl start\n"},
		"restart-foreign": {[]string{"restart"}, control.Reply{Outcome: control.Failed, Reason: reason.ListenerForeign, OldPID: 12},
			control.Request{Action: control.Restart}, 4, "", "listener-foreign: another process listens on the gateway's port (pid 12)\n"},
		"restart-exited": {[]string{"restart"}, control.Reply{Outcome: control.Failed, Reason: reason.Exited, OldPID: 12, NewPID: 34},
			control.Request{Action: control.Restart}, 1, "", "(pid 12 → 34)\n"},
		"restart-refused": {[]string{"restart"}, control.Reply{Outcome: control.Failed, Reason: reason.UnsafeConfig, OldPID: 12, NewPID: 12},
			control.Request{Action: control.Restart}, 3, "", "unsafe-config"},
		"restart-without-room": {[]string{"restart"}, control.Reply{Outcome: control.Failed, Reason: reason.NoRoom, OldPID: 12, NewPID: 12},
			control.Request{Action: control.Restart}, 3, "", "no-room: the container has no room for another process (pid 12)\n"},
		"start-failed": {[]string{"start"}, control.Reply{Outcome: control.Failed, Reason: reason.HealthTimeout, NewPID: 34},
			control.Request{Action: control.Start}, 4, "", "(pid 34)\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.serve(func(s *control.Server, r control.Request) {
				reply := test.reply
				reply.Nonce = r.Nonce
				r.Nonce = ""
				if r != test.want {
					t.Errorf("request %+v, want %+v", r, test.want)
				}
				s.Reply(reply)
			})
			w.publish()
			w.want(w.run(test.args...), test.code, test.out, test.err)
			if strings.Contains(w.err.String(), "\x1b") {
				t.Error("an escape without a terminal")
			}
		})
	}
}

func TestRequestWithoutSupervisor(t *testing.T) {
	t.Run("no-directory", func(t *testing.T) {
		w := newFixture(t)
		must(t, os.Remove(w.path))
		w.want(w.run("restart"), exitNoSupervisor, "", "cannot restart: no supervisor answers here")
	})
	t.Run("no-reader", func(t *testing.T) {
		w := newFixture(t)
		w.publish()
		w.want(w.run("restart"), exitNoSupervisor, "", "cannot restart: no supervisor answers here")
	})
	t.Run("never-comes-up", func(t *testing.T) {
		w := newFixture(t)
		w.local.Booting = func() bool { return true }
		w.want(w.run("restart", "--timeout", "50ms"), exitDeadline, "", "nothing was sent")
	})
	t.Run("fifo-replaced", func(t *testing.T) {
		w := newFixture(t)
		w.publish()
		must(t, os.MkdirAll(filepath.Join(w.path, control.Dir), 0o700))
		must(t, os.WriteFile(filepath.Join(w.path, control.Dir, control.FIFO), nil, 0o600))
		w.want(w.run("restart"), exitFailed, "", "is a regular file, not a FIFO")
	})
	t.Run("unsafe-directory", func(t *testing.T) {
		w := newFixture(t)
		w.publish()
		must(t, os.Chmod(w.path, 0o777))
		w.want(w.run("restart"), exitFailed, "", "writable by others")
	})
	t.Run("link-for-directory", func(t *testing.T) {
		w := newFixture(t)
		w.publish()
		must(t, os.Rename(w.path, w.path+"2"))
		must(t, os.Symlink(w.path+"2", w.path))
		w.want(w.run("restart"), exitFailed, "", "symbolic link")
	})
}

// TestRequestWaitsForBoot is scenario L16 in small.
func TestRequestWaitsForBoot(t *testing.T) {
	w := newFixture(t)
	asked := 0
	w.local.Booting = func() bool {
		if asked++; asked == 2 {
			w.serve(func(s *control.Server, r control.Request) {
				s.Reply(control.Reply{Nonce: r.Nonce, Outcome: control.OK, NewPID: 34})
			})
		}
		return true
	}
	w.want(w.run("restart"), exitOK, "started: pid 34", "")
}

func TestRequestDeadline(t *testing.T) {
	w := newFixture(t)
	w.serve(func(*control.Server, control.Request) {})
	w.publish()
	w.want(w.run("restart", "--timeout", "50ms"), exitDeadline, "", "cannot restart: deadline passed after 50ms\ngatewayctl: hint: the request stays queued")
}

// TestRequestDeadlineSaysWhatHoldsItUp checks that a request whose time ran out names the
// reason that status has.
func TestRequestDeadlineSaysWhatHoldsItUp(t *testing.T) {
	w := newFixture(t)
	w.serve(func(*control.Server, control.Request) {})
	w.record.State, w.record.Reason, w.record.Detail = status.Starting, reason.AuthMismatch, "the gateway refused our token"
	w.publish()
	w.want(w.run("restart", "--timeout", "50ms"), exitDeadline, "",
		"cannot restart: deadline passed after 50ms: auth-mismatch: the gateway refused our token\ngatewayctl: hint: the request stays queued")
	w.record = servingRecord()
	w.record.RuntimeDir = w.path
	w.record.Request = &status.Request{Nonce: "12345678", Action: "restart", Stage: "stopping", Since: noon}
	w.publish()
	w.want(w.run("restart", "--timeout", "50ms"), exitDeadline, "",
		"cannot restart: deadline passed after 50ms: the old gateway still serves, the stage of the request is stopping\n")
}

// TestRequestStages checks that a terminal shows each stage, and none at the end.
func TestRequestStages(t *testing.T) {
	w := newFixture(t)
	w.errTTY = true
	w.publish()
	stages := []string{"accepted", "stopping", "starting", "proving"}
	shown := make(chan string, 16)
	w.serve(func(s *control.Server, r control.Request) {
		s.Reply(control.Reply{Nonce: r.Nonce, Outcome: control.Accepted})
		// Each stage is published only after the one before was shown.
		for i, stage := range stages {
			for !strings.Contains(<-shown, " "+stage+" ...") {
			}
			if i+1 < len(stages) {
				w.record.Request = &status.Request{Nonce: r.Nonce[:8], Action: "restart", Stage: stages[i+1]}
				w.publish()
			}
		}
		s.Reply(control.Reply{Nonce: r.Nonce, Outcome: control.OK, OldPID: 12, NewPID: 34})
	})
	w.app.err = writerFunc(func(b []byte) (int, error) {
		shown <- string(b)
		return w.err.Write(b)
	})
	code := w.run("restart")
	last := -1
	for _, s := range stages {
		i := strings.Index(w.err.String(), "restart: "+s+" ...")
		if i <= last {
			t.Errorf("stage %s is missing or out of order in %q", s, w.err.String())
		}
		last = i
	}
	w.want(code, exitOK, "restarted: pid 12 → 34", "\r\x1b[K")
	if !strings.HasSuffix(w.err.String(), "\r\x1b[K") {
		t.Error("the last stage stays on the screen")
	}
}

// TestRequestDrain checks that progress is visible during a long drain. On a
// terminal the line is rewritten; a log gets a line now and then.
func TestRequestDrain(t *testing.T) {
	for name, tty := range map[string]bool{"terminal": true, "log": false} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.errTTY = tty
			now := noon
			w.local.Now = func() time.Time { return now }
			w.record.Gateway.PID = 27
			w.publish()
			shown := make(chan string, 16)
			next := func(part string) {
				for !strings.Contains(<-shown, part) {
				}
			}
			w.serve(func(s *control.Server, r control.Request) {
				until := noon.Add(5*time.Minute + 3*time.Second)
				w.record.Request = &status.Request{Nonce: r.Nonce[:8], Action: "restart", Stage: "stopping", Until: &until}
				w.publish()
				s.Reply(control.Reply{Nonce: r.Nonce, Outcome: control.Accepted})
				next("restart: draining: pid 27 ends by itself within 5m15s, 12s passed")
				s.Reply(control.Reply{Nonce: r.Nonce, Outcome: control.OK, OldPID: 27, NewPID: 34})
			})
			w.app.err = writerFunc(func(b []byte) (int, error) {
				shown <- string(b)
				return w.err.Write(b)
			})
			w.want(w.run("restart", "--drain", "5m15s"), exitOK, "restarted: pid 27 → 34", "draining")
			if escapes := strings.Contains(w.err.String(), "\x1b"); escapes != tty {
				t.Errorf("wrote %q", w.err.String())
			}
		})
	}
}

// TestDrainLines checks for one line in ten seconds.
func TestDrainLines(t *testing.T) {
	var out strings.Builder
	now := noon
	s := &stages{w: &out, verb: "restart", now: func() time.Time { return now }}
	s.stage("accepted")
	for i := range 25 {
		s.stage(fmt.Sprintf("%s %d", operate.Draining, i))
		now = now.Add(time.Second)
	}
	s.stage("proving")
	s.done()
	if got := out.String(); got != "restart: draining: 0\nrestart: draining: 10\nrestart: draining: 20\n" {
		t.Errorf("wrote %q", got)
	}
}

// TestRequestDetail checks that PID 1's explanation is printed at once, and that a
// record of another or an earlier request is not taken for it.
func TestRequestDetail(t *testing.T) {
	const general = "the gateway ended before it was proven"
	for name, c := range map[string]struct {
		reason      reason.Reason
		nonce, want string
	}{
		"its-own":        {"exited", "", "exited: ended with 78 (no config)"},
		"another-reason": {"health-timeout", "", "exited: " + general},
		"merged":         {"exited", "00000000", "exited: ended with 78 (no config)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.publish()
			w.serve(func(s *control.Server, r control.Request) {
				if c.nonce == "" {
					c.nonce = r.Nonce[:8]
				}
				w.record.Reason, w.record.Detail = c.reason, "ended with 78 (no config)"
				w.record.LastRequest = &status.LastRequest{Nonce: c.nonce, Action: "restart", Result: "failed exited 0 34"}
				w.publish() // before the reply, as PID 1 does
				s.Reply(control.Reply{Nonce: r.Nonce, Outcome: control.Failed, Reason: reason.Exited, NewPID: 34})
			})
			w.want(w.run("restart"), exitFailed, "", c.want+" (pid 34)\ngatewayctl: hint: ")
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
