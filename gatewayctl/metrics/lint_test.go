// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// parsers has the content type by which the client library parses each format.
var parsers = map[Format]expfmt.Format{OpenMetrics: expfmt.FmtOpenMetrics_1_0_0, Prometheus: expfmt.FmtText}

// parse reads text with the client library. For OpenMetrics that is a parser by the grammar
// of the standard.
func parse(t *testing.T, text string, format Format) (all []*dto.MetricFamily) {
	t.Helper()
	d := expfmt.NewDecoder(strings.NewReader(text), parsers[format].WithEscapingScheme(model.NoEscaping))
	for {
		f := &dto.MetricFamily{}
		err := d.Decode(f)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v:\n%s", format, err, text)
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all
}

// rewrite returns what the client library writes.
func rewrite(t *testing.T, all []*dto.MetricFamily) string {
	t.Helper()
	var b bytes.Buffer
	for _, f := range all {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// lint fails the test for each finding of the client library's linter.
func lint(t *testing.T, all []*dto.MetricFamily) {
	t.Helper()
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestLibraryReadsEachLook checks that the client library reads both formats, finds the same
// in them, and has no complaint about names, units, types and texts.
func TestLibraryReadsEachLook(t *testing.T) {
	for name, l := range looks() {
		t.Run(name, func(t *testing.T) {
			all := WithLabel(Families(l), "container", `a"\`)
			open := parse(t, Text(all, OpenMetrics), OpenMetrics)
			classic := parse(t, Text(all, Prometheus), Prometheus)
			lint(t, open)
			lint(t, classic)
			if a, b := rewrite(t, open), rewrite(t, classic); a != b {
				t.Errorf("the formats differ:\n%s\n%s", a, b)
			}
			for i, f := range classic {
				if i := slices.IndexFunc(all, func(g Family) bool { return g.Name == f.GetName() }); i < 0 || len(f.GetMetric()) != len(all[i].Samples) || f.GetHelp() != all[i].Help || !strings.EqualFold(f.GetType().String(), all[i].Type()) {
					t.Errorf("read %v", f)
				}
				if i > 0 && f.GetName() == classic[i-1].GetName() {
					t.Errorf("%s is there twice", f.GetName())
				}
			}
			if len(classic) != len(all) {
				t.Errorf("%d families were read, %d written", len(classic), len(all))
			}
		})
	}
}

// TestOlderReadersAcceptOpenMetrics checks that a reader of the older format takes the other
// one, with each value, and only misses which metrics are counters.
func TestOlderReadersAcceptOpenMetrics(t *testing.T) {
	all := Families(whole())
	read := parse(t, Text(all, OpenMetrics), Prometheus)
	for _, f := range all {
		i := slices.IndexFunc(read, func(r *dto.MetricFamily) bool { return r.GetName() == f.Name })
		if i < 0 || len(read[i].GetMetric()) != len(f.Samples) {
			t.Errorf("%s was not read", f.Name)
		} else if counter := f.Type() == "counter"; counter != (read[i].GetType() == dto.MetricType_UNTYPED) {
			t.Errorf("%s was read as %v", f.Name, read[i].GetType())
		}
	}
}

// TestLibraryWouldComplain checks that parser and linter find what they are here for.
func TestLibraryWouldComplain(t *testing.T) {
	for name, f := range map[string]Family{
		"unit": {Name: "gateway_init_delay_milliseconds", Help: "h"}, "no-help": {Name: "gateway_init_x"},
		"type-in-name": {Name: "gateway_init_gauge_x", Help: "h"}, "camel-case": {Name: "gateway_init_xY", Help: "h"},
		"same-twice": {Name: "gateway_init_x", Help: "h", Samples: []Sample{{Value: 1}}},
	} {
		f.Samples = append(f.Samples, Sample{Value: 1})
		if p, err := promlint.New(strings.NewReader(Text([]Family{f}, Prometheus))).Lint(); err != nil || len(p) == 0 {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	for name, text := range map[string]string{
		"no-eof": "# TYPE a gauge\na 1\n", "counter-without-total": "# TYPE a counter\na 1\n# EOF\n",
		"text-after-eof": "# EOF\na 1\n", "bad-escape": "# TYPE a gauge\na{b=\"\"\"} 1\n# EOF\n",
	} {
		d := expfmt.NewDecoder(strings.NewReader(text), parsers[OpenMetrics])
		err := error(nil)
		for err == nil {
			err = d.Decode(&dto.MetricFamily{})
		}
		if errors.Is(err, io.EOF) {
			t.Errorf("%s is accepted", name)
		}
	}
}

// FuzzText checks that the client library reads the metrics of any record, and finds each
// text as its printable form. The sample lines of both formats are the same. The parser of
// OpenMetrics is too slow for this.
func FuzzText(f *testing.F) {
	f.Add("v1.2.3", "pair", "path", "listener-foreign", int64(1_764_000_000_000))
	f.Add("\"} 1\n# EOF\n", `\`, "\x1b[31m\u202e", "\xff\\n", int64(-1))
	f.Fuzz(func(t *testing.T, version, sidecar, missing, why string, ms int64) {
		l := whole()
		l.Record.Version, l.Record.Backoff.DelayMS = version, ms
		l.Record.Sidecars = append(l.Record.Sidecars, status.Child{Name: sidecar, State: "failed"})
		l.Record.Hardening = append(l.Record.Hardening, status.Hardening{Name: missing})
		l.Code, l.Reason = operate.ExitNotServing, reason.Reason(why)
		all := Families(l)
		text := Text(all, Prometheus)
		if a, b := sampleLines(text), sampleLines(Text(all, OpenMetrics)); a != b {
			t.Errorf("the formats differ:\n%s\n%s", a, b)
		}
		values := map[string]bool{}
		for _, f := range parse(t, text, Prometheus) {
			for _, m := range f.GetMetric() {
				for _, label := range m.GetLabel() {
					values[label.GetValue()] = true
				}
			}
		}
		for _, want := range []string{version, sidecar, missing, why} {
			if !values[printable(want)] {
				t.Errorf("no label has the value %q", printable(want))
			}
		}
	})
}

// sampleLines returns the lines that are no comments.
func sampleLines(text string) (lines string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			lines += line
		}
	}
	return lines
}
