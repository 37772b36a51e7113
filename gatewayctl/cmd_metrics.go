// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/metrics"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/version"
)

func cmdMetrics() verb {
	return verb{
		name: "metrics", args: "[--format openmetrics|prometheus] [--label NAME=VALUE]",
		summary: "print the status as metrics for a monitoring system",
		help: `Makes the checks of gatewayctl status, and prints the result as metrics
(docs/status.md has their names, docs/metrics.md ways to collect them). The
last line is "# EOF". Where no supervisor can be verified, gateway_init_up is 0,
and nothing of its record is printed. Root as a controller has no record.

  --format openmetrics
            OpenMetrics 1.0 (the default)
  --format prometheus
            the older text format, for node_exporter's textfile collector
  --label NAME=VALUE
            add this label to each sample; repeat it for further labels

Exit code: as gatewayctl status, also when the metrics were printed: 0 the
gateway serves, 4 it does not serve, 5 there is no supervisor. If the record
cannot be read: 1, or 3 without the permission.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			format := f.String("format", string(metrics.OpenMetrics), "")
			var labels labelFlag
			f.Var(&labels, "label", "")
			return func(a *app, _ []string) int {
				if !slices.Contains(metrics.Formats(), metrics.Format(*format)) {
					return a.usage(fmt.Errorf("--format must be one of %v", metrics.Formats()), "metrics")
				}
				return a.metrics(metrics.Format(*format), labels)
			}
		},
	}
}

// labelFlag is the value of --label: the name and the value of each.
type labelFlag [][2]string

func (l *labelFlag) String() string { return "" }

func (l *labelFlag) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("it is not NAME=VALUE")
	}
	if slices.ContainsFunc(*l, func(have [2]string) bool { return have[0] == name }) {
		return errors.New("the label is given twice")
	}
	*l = append(*l, [2]string{name, value})
	return metrics.CheckLabel(name)
}

// metrics prints the metrics of one look. It returns the view's exit code, or exitFailed if
// they could not be written.
func (a *app) metrics(format metrics.Format, labels labelFlag) int {
	ctx, cancel := context.WithTimeout(context.Background(), operate.LookTimeout)
	defer cancel()
	info, _ := debug.ReadBuildInfo()
	l := metrics.Look{View: a.local.AddUnmanaged(ctx, a.operator.Look(ctx)), Version: chooseVersion(version.String, info)}
	if l.Record != nil {
		l.Threads = a.local.Threads(l.Record.Init)
		l.Relay = a.local.RelayCounters()
	}
	all := metrics.Families(l)
	for _, label := range slices.Backward(labels) {
		all = metrics.WithLabel(all, label[0], label[1])
	}
	if code := a.write(metrics.Text(all, format)); code != exitOK {
		return code
	}
	return l.Code
}
