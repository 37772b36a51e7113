// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

func statAt(t *testing.T, dir *os.File, name string) fsafe.Info {
	t.Helper()
	i, err := fsafe.StatAt(dir, name)
	must(t, err)
	return i
}

// allHeld returns the checks of a healthy gateway.
func allHeld() operate.Checks {
	return operate.Checks{
		operate.PassCheck(operate.CheckSupervisor, "pid 1 is the process that wrote the record"),
		operate.PassCheck(operate.CheckControl, "the request FIFO is PID 1's and is read"),
		operate.PassCheck(operate.CheckGateway, "pid 34 is alive with the recorded start time"),
		operate.PassCheck(operate.CheckGatewayUID, "all its uids are 1001"),
		operate.PassCheck(operate.CheckListener, "127.0.0.1:18789 of uid 1001"),
		operate.PassCheck(operate.CheckTokenFile, "the file PID 1 installed, 0400, owner 1001"),
	}
}

func with(cs operate.Checks, changed ...operate.Check) operate.Checks {
	for _, c := range changed {
		for i := range cs {
			if cs[i].Name == c.Name {
				cs[i] = c
			}
		}
	}
	return cs
}

func noGateway(cs operate.Checks) operate.Checks {
	for _, name := range []string{operate.CheckGateway, operate.CheckGatewayUID, operate.CheckListener} {
		cs = with(cs, operate.Check{Name: name, Result: status.NotAvailable, Detail: "no gateway runs"})
	}
	return cs
}

func TestRender(t *testing.T) {
	idle := func(r *status.Record, state, goal string) {
		r.State, r.Goal, r.Gateway.PID, r.Gateway.StartedAt, r.Gateway.ProvenAt = state, goal, 0, nil, nil
		r.Health = status.Health{State: status.Unknown, Limit: 4}
		r.Proof = status.Proof{Child: status.NotAvailable, Listener: status.NotAvailable, Ready: status.NotAvailable, Auth: status.NotAvailable}
	}
	tests := map[string]struct {
		change func(r *status.Record)
		checks operate.Checks
	}{
		"serving": {func(r *status.Record) {}, allHeld()},
		"starting": {func(r *status.Record) {
			r.State, r.Health.State, r.Gateway.ProvenAt = status.Starting, status.Unknown, nil
			r.Request = &status.Request{Nonce: "aabbccdd", Action: "restart", Stage: "proving", Since: before(4 * time.Second)}
			r.Queued = 2
		}, allHeld()},
		"starting-normally": {func(r *status.Record) {
			idle(r, status.Starting, status.GoalRun)
			r.Gateway.PID, r.Gateway.StartedAt, r.Gateway.ReadyBy = 41, ptr(before(4*time.Second)), ptr(noon.Add(56*time.Second))
			r.Since = before(4 * time.Second)
			r.Reason, r.Detail = "listener-missing", "no process listens on port 18789"
			r.Health.Detail = r.Detail
		}, allHeld()},
		"starting-late": {func(r *status.Record) {
			idle(r, status.Starting, status.GoalRun)
			r.Gateway.PID = 41
			r.Reason, r.Detail = "health-timeout", "GET /healthz: another status than configured, not ready within 60s"
			r.Health = status.Health{State: status.NotServing, Failures: 1, Limit: 4}
			r.Gateway.GiveUpAt = ptr(noon.Add(40 * time.Second))
		}, allHeld()},
		"starting-unproven": {func(r *status.Record) {
			idle(r, status.Starting, status.GoalRun)
			r.Gateway.PID = 41
			r.Reason, r.Detail = "unproven", "GET /healthz: it answered with status 401, which is not configured: gateway.ready.status is [200]: correct that, or gateway.ready.path"
			r.Health = status.Health{State: status.Unknown, Limit: 4, Detail: r.Detail}
			r.Gateway.GiveUpAt = ptr(noon.Add(40 * time.Second))
		}, allHeld()},
		"pending": {func(r *status.Record) {
			r.Sidecars = []status.Child{{Name: "pair", State: "running", PID: 50, UID: 1002, Pending: "tools not connected yet"}, {Name: "node", State: "running", UID: 1000}}
		}, allHeld()},
		"stop-timeout": {func(r *status.Record) {
			r.State, r.Reason, r.Detail = status.Stopping, "stop-timeout", "processes of the gateway's user are still there after SIGKILL"
		}, allHeld()},
		"draining": {func(r *status.Record) {
			r.State = status.Stopping
			r.Request = &status.Request{Nonce: "aabbccdd", Action: "restart", Stage: "stopping", Since: before(12 * time.Second), Until: ptr(noon.Add(303 * time.Second))}
			r.Queued = 1
		}, allHeld()},
		"held": {func(r *status.Record) {
			idle(r, status.Backoff, status.GoalRun)
			r.Reason, r.Detail = "exited", "the gateway ended with exit code 78 (no configuration); the next try is after 30s, gatewayctl recover tries at once"
			r.Backoff = &status.Waiting{Until: noon.Add(12 * time.Second), DelayMS: 30000, Streak: 1}
			r.LastExit = &status.Exit{PID: 41, Code: 78, Text: "no configuration", At: before(18 * time.Second), Failure: true}
			r.Sidecars = []status.Child{{Name: "pair", State: "done", UID: 1002, Detail: "ended with exit code 0"}, {Name: "node", State: "waiting", UID: 1000}}
		}, noGateway(allHeld())},
		"stopping": {func(r *status.Record) { r.State = status.Stopping }, allHeld()},
		"backoff": {func(r *status.Record) {
			idle(r, status.Backoff, status.GoalRun)
			r.Reason, r.Detail = "exited", "exited with code 1 before it was proven"
			r.Backoff = &status.Waiting{Until: noon.Add(12 * time.Second), DelayMS: 12800, Streak: 7}
			r.Crashes = 7
			r.LastExit = &status.Exit{PID: 41, Signal: 11, At: before(time.Second), Failure: true}
		}, noGateway(allHeld())},
		"stopped": {func(r *status.Record) { idle(r, status.Stopped, status.GoalStop) }, noGateway(allHeld())},
		"exiting": {func(r *status.Record) { idle(r, status.Stopped, status.GoalExit) }, noGateway(allHeld())},
		"no-gateway": {func(r *status.Record) {
			idle(r, status.Stopped, status.GoalStop)
			r.Gateway.Enabled = false
		}, noGateway(allHeld())},
		"foreign-listener": {func(r *status.Record) {
			r.Proof.Listener = status.Failed
			r.Proof.Foreign = []status.Listener{{Addr: "[::1]:18789", UID: 1000, Inode: 7}}
		}, with(allHeld(), operate.FailCheck(operate.CheckListener, reason.ListenerForeign, "[::1]:18789 of uid 1000"))},
		"not-serving": {func(r *status.Record) {
			r.Health = status.Health{State: status.NotServing, Failures: 2, Limit: 4, At: ptr(before(3 * time.Second)), Detail: "no answer within 3s"}
		}, allHeld()},
		"unproven": {func(r *status.Record) {}, with(allHeld(),
			operate.Check{Name: operate.CheckListener, Result: status.NotAvailable, Detail: "netlink is refused"})},
		"token-changed": {func(r *status.Record) {}, with(allHeld(),
			operate.FailCheck(operate.CheckTokenFile, reason.TokenChanged, "/run/gateway-init/gateway-token is missing"))},
		"fifo-replaced": {func(r *status.Record) {}, with(allHeld(),
			operate.FailCheck(operate.CheckControl, reason.Internal, "/run/gateway-init/control/request: is a regular file, not a FIFO"))},
		"supervisor-replaced": {func(r *status.Record) {}, with(allHeld(), operate.FailCheck(operate.CheckSupervisor, "", "pid 1 did not write this record"))},
		"open-in-children": {func(r *status.Record) {
			r.Hardening = []status.Hardening{{Name: status.OpenInChildren, Detail: "nothing closes it"}}
		}, allHeld()},
		"everything": {func(r *status.Record) {
			r.Sidecars = []status.Child{{Name: "logs", State: "backoff", UID: 1000, Restarts: 3, Detail: "exited with \x1b[31m1"}}
			r.Refused = status.Refused{Malformed: 1, Replayed: 2}
			r.Separation = "none"
			r.Crashes = 1
			r.Hardening = []status.Hardening{{Name: status.OpenInChildren, Detail: "nothing closes it"},
				{Name: "shared-tmpfs", Detail: "the agent can fill it: add --tmpfs /run/gateway-init:mode=0700,size=1m"}}
		}, allHeld()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := servingRecord()
			test.change(&r)
			v := operate.View{Record: &r, Checks: test.checks, Verdict: operate.Judge(&r, test.checks)}
			text := render(v, noon, format{})
			golden(t, name+".txt", text)
			verbose := render(v, noon, format{verbose: true})
			if name == "serving" || name == "everything" || name == "foreign-listener" {
				golden(t, name+"-v.txt", verbose)
			}
			for line := range strings.Lines(text + verbose) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > pageWidth {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			if first, _, _ := strings.Cut(text, "\nnext  "); strings.Count(first, "\n") > 2 {
				t.Errorf("the next step comes too late:\n%s", text)
			}
			if strings.ContainsAny(text, "\x1b") {
				t.Error("an escape got through")
			}
			if !strings.Contains(text, "\nnext  ") {
				t.Error("it does not say what to do next")
			}
			if plain := strip(render(v, noon, format{color: true})); plain != text {
				t.Errorf("color changes the text:\n%s", plain)
			}
		})
	}
}

// TestRenderFromOutside checks that a view without a record has the same first lines.
func TestRenderFromOutside(t *testing.T) {
	v := operate.View{Topology: external.Managed, PID: 24, Port: 18789, Checks: allHeld()[:3],
		Verdict: operate.Verdict{Serving: true, Hint: "nothing to do"}}
	golden(t, "outside.txt", render(v, noon, format{}))
	golden(t, "outside-v.txt", render(v, noon, format{verbose: true}))
}

// TestUnsupervisedIsNamedInEachState checks that the first line names a gateway that was
// started by hand, whatever the state of our own gateway is.
func TestUnsupervisedIsNamedInEachState(t *testing.T) {
	for _, c := range []struct{ state, goal, word string }{
		{status.Stopped, status.GoalStop, "STOPPED"}, {status.Stopping, status.GoalStop, "STOPPING"},
		{status.Stopping, status.GoalRun, "STOPPING"}, {status.Starting, status.GoalRun, "STARTING"},
		{status.Backoff, status.GoalRun, "BACKOFF"}, {status.Running, status.GoalRun, "NOT SERVING"},
	} {
		r := servingRecord()
		r.State, r.Goal, r.Gateway.PID = c.state, c.goal, 0
		r.Health.State = status.NotServing
		v := operate.View{Record: &r, Checks: noGateway(allHeld())}
		v.Verdict = operate.Judge(&r, v.Checks)
		v.Detail, v.Hint, v.Unmanaged = "unsupervised: pid 50 of uid 9001 serves", "gatewayctl adopt", true
		first, _, _ := strings.Cut(render(v, noon, format{}), "\nnext ")
		if !strings.HasPrefix(first, c.word+" ") || !strings.Contains(first, "unsupervised: pid 50") {
			t.Errorf("%s, to %s: %s", c.state, c.goal, first)
		}
	}
}

// TestWatchPrintsNoRenewal checks that a record that was written again, and a check that
// was made again, are no change, also with the evidence.
func TestWatchPrintsNoRenewal(t *testing.T) {
	r := servingRecord()
	v := operate.View{Record: &r, Checks: allHeld()}
	v.Verdict = operate.Judge(&r, v.Checks)
	old := newPage(v, noon, false, true).rows
	r.UpdatedAt, r.Proof.At, r.Health.At = noon.Add(time.Hour), ptr(noon.Add(time.Hour)), ptr(noon.Add(time.Hour))
	r.Queued = 1
	got := changes(old, newPage(v, noon.Add(time.Hour), false, true).rows, noon)
	if got != noon.Format(time.RFC3339)+" request: 1 waiting\n" {
		t.Errorf("printed\n%s", got)
	}
}

// TestJSONHasNoControlCharacters checks that a hostile record cannot write to a terminal
// through --json either, and that the text stays the same.
func TestJSONHasNoControlCharacters(t *testing.T) {
	r := servingRecord()
	r.Detail = "a\u009b\u202e\x7f\u2066b\nc"
	text, err := renderJSON(operate.View{Record: &r})
	must(t, err)
	if clean(strings.TrimSuffix(text, "\n")) != strings.TrimSuffix(text, "\n") {
		t.Errorf("printed %q", text)
	}
	if got := decode(t, text); got.Record.Detail != r.Detail {
		t.Errorf("read back %q", got.Record.Detail)
	}
}

// TestRowBreaksBetweenWords checks that a word longer than the page stays whole.
func TestRowBreaksBetweenWords(t *testing.T) {
	long := strings.Repeat("x", 2*pageWidth)
	p := page{}
	p.add("label", "%s", "one "+long+" two")
	if got, want := p.String(), "label         one\n              "+long+"\n              two\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func strip(text string) string {
	for _, c := range []string{"\x1b[1;31m", "\x1b[1;32m", "\x1b[1;33m", "\x1b[0m"} {
		text = strings.ReplaceAll(text, c, "")
	}
	return text
}

// noRuntime is the error for a container without a supervisor.
type noRuntime struct{}

func (noRuntime) Error() string {
	return "no supervisor's files in /run/gateway-init or /dev/.gateway-init"
}
func (noRuntime) Unwrap() error { return fs.ErrNotExist }

func TestRenderWithoutRecord(t *testing.T) {
	v := operate.View{Verdict: operate.UnreadableVerdict(noRuntime{})}
	golden(t, "no-supervisor.txt", render(v, noon, format{}))
	v = operate.View{Verdict: operate.UnreadableVerdict(status.ErrSchema)}
	golden(t, "other-schema.txt", render(v, noon, format{}))
}

func TestFormatSpan(t *testing.T) {
	tests := map[string]time.Duration{
		"0s": -time.Hour, "59s": 59*time.Second + 999*time.Millisecond, "1m00s": time.Minute, "59m59s": 3599 * time.Second,
		"1h00m": time.Hour, "23h59m": 86399 * time.Second, "1d00h": 24 * time.Hour, "400d05h": 9605 * time.Hour,
	}
	for want, d := range tests {
		if got := operate.FormatSpan(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestWantColor(t *testing.T) {
	tests := map[string]struct {
		env  []string
		tty  bool
		want bool
	}{
		"terminal":       {[]string{"TERM=xterm"}, true, true},
		"pipe":           {[]string{"TERM=xterm"}, false, false},
		"no-color":       {[]string{"NO_COLOR=1"}, true, false},
		"no-color-empty": {[]string{"NO_COLOR="}, true, true},
		"dumb":           {[]string{"TERM=dumb"}, true, false},
	}
	for name, test := range tests {
		if got := wantColor(test.env, test.tty); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestClean(t *testing.T) {
	if got := clean("a\nb\x1b[0m\x7f\u202e\u009bé→"); got != "a?b?[0m???é→" {
		t.Errorf("clean = %q", got)
	}
}
