// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// samples returns the values that gatewayctl metrics prints, by name and label values. The
// client library parses them, and must have no complaint.
func samples(t *testing.T, c *harness.Container, code int) map[string]float64 {
	t.Helper()
	r := c.Ctl("metrics")
	if r.Code != code || r.Stderr != "" {
		t.Errorf("gatewayctl metrics ended with %d, want %d: %v", r.Code, code, r)
	}
	all := map[string]float64{}
	d := expfmt.NewDecoder(strings.NewReader(r.Stdout), expfmt.FmtOpenMetrics_1_0_0)
	var families []*dto.MetricFamily
	for {
		f := &dto.MetricFamily{}
		if err := d.Decode(f); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v: %v", err, r)
		}
		families = append(families, f)
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "gateway_init_")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("the linter says %v, %v", problems, err)
	}
	return all
}

// Scenario L24. `gatewayctl metrics` prints the verified status for a monitoring system. It
// counts restarts by how the gateway before ended.
func TestMetricsTellStateAndRestarts(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	first := c.WaitServing(serveBy)
	expect := func(code int, want map[string]float64) map[string]float64 {
		t.Helper()
		got := samples(t, c, code)
		for name, value := range want {
			if have, ok := got[name]; !ok || have != value {
				t.Errorf("%s is %v (%v), want %v", name, have, ok, value)
			}
		}
		return got
	}
	got := expect(0, map[string]float64{"up": 1, "serving": 1, "state running": 1, "state stopped": 0, "health serving": 1, "proof auth held": 1,
		"restarts_total requested": 0, "restarts_total exited": 0, "crashes_total": 0, "token_generation": 1, "check listener held": 1,
		"start_time_seconds":         float64(first.StartedAt.UnixMilli()) / 1000,
		"gateway_start_time_seconds": float64(first.Gateway.StartedAt.UnixMilli()) / 1000})
	if n := got["threads"]; n < 1 || n > 64 {
		t.Errorf("%v threads", n)
	}
	missing := 0.0
	for name, value := range got {
		if strings.HasPrefix(name, "hardening_missing_info ") {
			missing += value
		}
	}
	if want := float64(len(first.Hardening)); missing != want {
		t.Errorf("%v missing protections, the record has %v", missing, want)
	}

	signal(c, first.Gateway.PID, "KILL")
	second := c.WaitNewGateway(first.Gateway.Process, serveBy)
	c.MustCtl("restart", "--rotate-token")
	expect(0, map[string]float64{"up": 1, "serving": 1, "restarts_total requested": 1, "restarts_total exited": 1, "restarts_total unresponsive": 0,
		"restarts_total controller": 0, "restarts_total failed": 0, "proven_restarts_total": 1, "crashes_total": 1, "last_exit_requested": 1, "token_generation": 2})
	if now := c.Status(); now.Gateway.Process == second.Gateway.Process {
		t.Error("there was no restart")
	}

	c.MustCtl("stop")
	got = expect(4, map[string]float64{"up": 1, "serving": 0, "state stopped": 1, "goal stop": 1, "not_serving_info not-running": 1, "crashes_total": 1})
	if _, ok := got["gateway_start_time_seconds"]; ok {
		t.Errorf("a gateway that was stopped has a start: %v", slices.Sorted(maps.Keys(got)))
	}
	if r := c.Ctl("metrics", "--format", "prometheus", "--label", "container=C"); r.Code != 4 || !strings.Contains(r.Stdout, "\n# TYPE gateway_init_crashes_total counter\ngateway_init_crashes_total{container=\"C\"} 1\n") {
		t.Errorf("the older format: %v", r)
	}
}
