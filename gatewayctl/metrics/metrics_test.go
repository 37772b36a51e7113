// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/status"
)

var update = flag.Bool("update", false, "write testdata")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 250_000_000, time.UTC)

// whole returns a look whose every metric has a sample.
func whole() Look {
	r := &status.Record{
		Schema: status.Schema, Version: "v1.2.3", UpdatedAt: noon, StartedAt: noon.Add(-time.Hour), Init: procfs.ID{PID: 1, Start: 100},
		State: status.Running, Goal: status.GoalRun, Since: noon.Add(-time.Minute), Separation: status.SeparationUID,
		Gateway: status.Gateway{Process: procfs.ID{PID: 34, Start: 4711}, Port: 18789, StartedAt: &noon, ProvenAt: &noon, Enabled: true},
		Health:  status.Health{State: status.Serving, Failures: 1, Limit: 4, Failed: 5, At: &noon},
		Proof: status.Proof{Child: status.Held, Listener: status.Held, Ready: status.Held, Auth: status.NotAvailable, At: &noon,
			Foreign: []status.Listener{{Addr: "[::1]:18789", UID: 1000}}},
		Restarts: 2, Crashes: 3, Starts: status.Starts{First: 1, Requested: 2, Exited: 3, Unresponsive: 4, Controller: 5, Failed: 6},
		LastExit: &status.Exit{Code: 78, Requested: true, At: noon},
		Backoff:  &status.Waiting{Until: noon, DelayMS: 12800, Streak: 7},
		Request:  &status.Request{Action: "probe", Stage: "proving"}, Queued: 2,
		Refused: status.Refused{Malformed: 1, Replayed: 2, UnknownAction: 3, QueueFull: 4},
		Command: &status.Child{Name: "command", State: "running", StartedAt: &noon},
		Sidecars: []status.Child{{Name: "pair", State: "done", Restarts: 1},
			{Name: "relay", State: "running", Pending: "relay not ready", StartedAt: &noon}},
		Token:     status.Token{Inode: 2, MintedAt: noon, Generation: 3},
		Hardening: []status.Hardening{{Name: "path"}, {Name: status.OpenInChildren}, {Name: "oom-score"}, {Name: "oom-score"}},
	}
	r.Publish = &status.Publish{Port: 18789, Proven: true, Relay: &status.Child{Name: "relay", State: "running", Restarts: 2}}
	c := &relaycount.Counters{Accepted: 9, Active: 1, Served: 7, ToGateway: 100, ToClient: 200, Resets: 1, Lives: 2}
	c.Refused[relaycount.Foreign] = 1
	l := Look{Version: "v1.2.4", Threads: 6, Relay: c, View: operate.View{Record: r, Topology: "direct", Checks: operate.Checks{
		operate.PassCheck(operate.CheckSupervisor, ""), operate.PassCheck(operate.CheckControl, ""), operate.PassCheck(operate.CheckGateway, ""),
		operate.PassCheck(operate.CheckGatewayUID, ""), operate.FailCheck(operate.CheckListener, reason.ListenerForeign, ""),
		{Name: operate.CheckTokenFile, Result: status.NotAvailable}}}}
	l.Verdict = operate.Judge(r, l.Checks)
	return l
}

// looks returns looks of all kinds.
func looks() map[string]Look {
	with := func(change func(*Look)) Look {
		l := whole()
		change(&l)
		l.Verdict = operate.Judge(l.Record, l.Checks)
		return l
	}
	outside := Look{Version: "v1", View: operate.View{Topology: "managed", Checks: whole().Checks[:1], Verdict: operate.Verdict{Serving: true}}}
	return map[string]Look{
		"whole": whole(),
		"empty": with(func(l *Look) { *l.Record = status.Record{} }),
		"killed": with(func(l *Look) {
			l.Record.LastExit = &status.Exit{Code: 137, Signal: 9, At: noon}
			l.Checks[2] = operate.FailCheck(operate.CheckGateway, reason.IdentityChanged, "")
		}),
		"outside": outside, "other-writer": with(supervisorCheck(status.Failed)), "unknown-writer": with(supervisorCheck(status.NotAvailable)),
		"no-reader":  with(func(l *Look) { l.Checks[1] = operate.FailCheck(operate.CheckControl, "", "no process reads") }),
		"unreadable": {Version: "v1", View: operate.View{Verdict: operate.UnreadableVerdict(os.ErrNotExist)}},
	}
}

func supervisorCheck(result string) func(*Look) {
	return func(l *Look) { l.Checks[0].Result = result }
}

// TestGolden compares the whole output with a file.
func TestGolden(t *testing.T) {
	for name, l := range looks() {
		for _, format := range Formats() {
			if name != "whole" && name != "other-writer" && name != "outside" || name != "whole" && format == Prometheus {
				continue
			}
			file, text := "testdata/"+name+"."+string(format), Text(Families(l), format)
			if *update {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(file); err != nil || string(want) != text {
				t.Errorf("%s differs (go test -update writes it), %v:\n%s", file, err, text)
			}
		}
	}
}

// TestWholeLookHasEveryMetric checks that no metric of the tables is without a test.
func TestWholeLookHasEveryMetric(t *testing.T) {
	var have, known []string
	for _, f := range Families(whole()) {
		have = append(have, f.Name)
	}
	for _, f := range Known() {
		known = append(known, f.Name)
		if f.Help == "" || strings.ContainsAny(f.Help, "\\\n|") || len(f.Samples) > 0 {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(have, known) {
		t.Errorf("the look has %v, the tables %v", have, known)
	}
}

// TestUnverifiedRecordIsNotPrinted checks that nothing of a record is printed whose writer
// is not known to live and to read requests, and that up says so.
func TestUnverifiedRecordIsNotPrinted(t *testing.T) {
	for name, up := range map[string]string{"whole": "1", "killed": "1", "outside": "1",
		"other-writer": "0", "unknown-writer": "0", "no-reader": "0", "unreadable": "0"} {
		text := Text(Families(looks()[name]), OpenMetrics)
		if !strings.Contains(text, "\ngateway_init_up "+up+"\n") {
			t.Errorf("%s: gateway_init_up is not %s", name, up)
		}
		printed := false
		for _, f := range append(collect(gatewayTable()), append(collect(supervisorTable()), collect(sidecarTable())...)...) {
			printed = printed || strings.Contains(text, "# TYPE "+strings.TrimSuffix(f.Name, totalSuffix)+" ")
		}
		printed = printed || strings.Contains(text, "v1.2.3") || strings.Contains(text, "gateway_init_threads") || strings.Contains(text, "start_time") || strings.Contains(text, `check="gateway"`)
		if want := up == "1" && name != "outside"; printed != want {
			t.Errorf("%s: the record is printed: %v, want %v:\n%s", name, printed, want, text)
		}
	}
}

// TestGoneGatewayHasNoStart checks that the start of a gateway is not printed if the kernel
// does not show its process.
func TestGoneGatewayHasNoStart(t *testing.T) {
	const name = "gateway_init_gateway_start_time_seconds"
	for look, want := range map[string]bool{"whole": true, "killed": false} {
		if got := strings.Contains(Text(Families(looks()[look]), OpenMetrics), name); got != want {
			t.Errorf("%s has %s: %v", look, name, got)
		}
	}
}

// TestHostileTextStaysOneValue checks that no text of a record can write another line, or
// anything that a terminal obeys, and that no two samples have the same labels.
func TestHostileTextStaysOneValue(t *testing.T) {
	l := whole()
	l.Record.Version = "a\"} 1\nforged{x=\"\\\x1b[31m\u202e\u009b\xff"
	l.Record.Sidecars = []status.Child{{Name: "a\x01", State: "done"}, {Name: "a\x02", State: "done"}}
	text := Text(Families(l), OpenMetrics)
	if want := `{program="gateway-init",version="a\"} 1?forged{x=\"\\?[31m??` + "\ufffd" + `"} 1`; !strings.Contains(text, want+"\n") {
		t.Errorf("want %s in\n%s", want, text)
	}
	if n := strings.Count(text, `gateway_init_sidecar_restarts_total{sidecar="a?"}`); n != 1 {
		t.Errorf("one series is there %d times", n)
	}
}
