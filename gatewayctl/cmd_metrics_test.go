// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/metrics"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// TestMetricsJudgeLikeStatus checks that metrics believes a record in the same cases as
// status, and ends with the same code.
func TestMetricsJudgeLikeStatus(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(w *fixture)
		code    int
		up      string
		serving string
	}{
		"serving": {func(*fixture) {}, exitOK, "1", "1"},
		"stopped": {func(w *fixture) {
			w.record.State, w.record.Goal, w.record.Gateway.PID = status.Stopped, status.GoalStop, 0
			w.publish()
		}, exitNotServing, "1", "0"},
		"foreign-listener": {func(w *fixture) {
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) {
				return []sockets.Listener{listener("127.0.0.1:18789", 1000)}, nil
			}
		}, exitNotServing, "1", "0"},
		"old-record": {func(w *fixture) {
			w.local.Process = func(procfs.ID) error { return procfs.ErrReplaced }
		}, exitNoSupervisor, "0", "0"},
		"hidden-writer": {func(w *fixture) {
			w.local.Process = func(procfs.ID) error { return procfs.ErrHidden }
		}, exitNotServing, "0", "0"},
		"no-files":     {func(w *fixture) { w.local.Defaults = func() []string { return []string{"/nowhere"} } }, exitNoSupervisor, "0", "0"},
		"other-schema": {func(w *fixture) { w.writeFile(status.Name, `{"schema":2}`) }, exitFailed, "0", "0"},
		"broken":       {func(w *fixture) { w.writeFile(status.Name, `{`) }, exitFailed, "0", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.up()
			c.change(w)
			w.want(w.run("metrics"), c.code, "\ngateway_init_up "+c.up+"\n", "")
			text := w.out.String()
			if !strings.Contains(text, "\ngateway_init_serving "+c.serving+"\n") || !strings.HasSuffix(text, "\n# EOF\n") {
				t.Errorf("printed\n%s", text)
			}
			if printed := strings.Contains(text, "gateway_init_state{"); printed != (c.up == "1") {
				t.Errorf("the record is printed: %v", printed)
			}
			if threads := strings.Contains(text, "\ngateway_init_threads 5\n"); threads != (c.up == "1") {
				t.Errorf("the threads are printed: %v", threads)
			}
			if code := w.run("status"); code != c.code {
				t.Errorf("status ends with %d", code)
			}
		})
	}
}

// TestMetricsFormats checks both names, and that a counter's type is that of the format.
func TestMetricsFormats(t *testing.T) {
	w := newFixture(t)
	w.up()
	for format, line := range map[metrics.Format]string{metrics.OpenMetrics: "# TYPE gateway_init_crashes counter\n", metrics.Prometheus: "# TYPE gateway_init_crashes_total counter\n"} {
		w.want(w.run("metrics", "--format", string(format)), exitOK, line, "")
	}
	w.want(w.run("metrics", "--format", "json"), exitUsage, "", "--format must be one of [openmetrics prometheus]")
}

// TestMetricsLabels checks labels of the caller, and that none can spoil the text.
func TestMetricsLabels(t *testing.T) {
	w := newFixture(t)
	w.up()
	w.want(w.run("metrics", "--label", "container=a \"b\"\n=c", "--label", "zone=x"), exitOK, `
gateway_init_up{container="a \"b\"?=c",zone="x"} 1
`, "")
	if text := w.out.String(); !strings.Contains(text, `gateway_init_state{container="a \"b\"?=c",zone="x",state="running"} 1`) {
		t.Errorf("printed\n%s", text)
	}
	for label, says := range map[string]string{
		"x": "it is not NAME=VALUE", "=x": "begins with no digit", "1a=x": "begins with no digit", "a-b=x": "begins with no digit", "é=x": "begins with no digit",
		"__name__=x": "two underscores", "state=x": "the metrics have a label of this name",
	} {
		w.want(w.run("metrics", "--label", label), exitUsage, "", says)
	}
	w.want(w.run("metrics", "--label", "a=1", "--label", "a=2"), exitUsage, "", "the label is given twice")
}

// TestMetricsAreRefusedWithoutText checks that a user who may not look gets no metrics, and
// so no wrong ones.
func TestMetricsAreRefusedWithoutText(t *testing.T) {
	w := newFixture(t)
	w.up()
	w.local.EUID++
	w.want(w.run("metrics"), exitRefused, "", "not-permitted")
}

// TestMetricsThatCannotBeWritten checks that a lost output is a failure, also if the gateway
// serves.
func TestMetricsThatCannotBeWritten(t *testing.T) {
	w := newFixture(t)
	w.up()
	w.app.out = failingWriter{}
	if code := w.run("metrics"); code != exitFailed || !strings.Contains(w.err.String(), "cannot write to stdout") {
		t.Errorf("%d, %q", code, w.err.String())
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, fs.ErrClosed }

// TestMetricsCostNoRequest checks that a scrape sends PID 1 nothing.
func TestMetricsCostNoRequest(t *testing.T) {
	w := newFixture(t)
	w.serve(func(*control.Server, control.Request) { t.Error("a request arrived") })
	w.publish()
	w.want(w.run("metrics"), exitOK, "gateway_init_up 1", "")
}
