// SPDX-License-Identifier: Apache-2.0

// Package metrics writes the result of one look at the supervisor as metrics, in the
// formats that monitoring systems read. It asks nothing and decides nothing. What the
// look has not verified is left out.
//
// A source of metrics has a table with a row for each metric, and one line in Families.
// The tables have the names, which are words that other programs read (tests/words), and
// the texts of docs/status.md.
package metrics

import (
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/status"
)

// Look is the result of one look, and the facts that a view does not have.
type Look struct {
	operate.View
	Version string               // of gatewayctl
	Threads int                  // of PID 1, as the kernel shows them now; 0 if it does not
	Relay   *relaycount.Counters // nil if there is no relay, or its file cannot be read
}

// isUp reports whether a supervisor was verified. Only then is the record current.
func (l Look) isUp() bool {
	return l.Code != operate.ExitNoSupervisor && l.Checks.Get(operate.CheckSupervisor).Result == status.Held
}

// current returns the record if it is current, otherwise nil.
func (l Look) current() *status.Record {
	if !l.isUp() {
		return nil
	}
	return l.Record
}

// Families returns the metrics of a look that have samples.
func Families(l Look) []Family {
	all := collect(lookTable(), l)
	if r := l.current(); r != nil {
		all = append(all, collect(gatewayTable(), r)...)
		all = append(all, collect(supervisorTable(), r)...)
		all = append(all, collect(sidecarTable(), r.Sidecars...)...)
		if r.Publish != nil {
			all = append(all, collect(publishTable(), r.Publish)...)
		}
		if r.Publish != nil && l.Relay != nil {
			all = append(all, collect(relayTable(), *l.Relay)...)
		}
	}
	return slices.DeleteFunc(all, func(f Family) bool { return len(f.Samples) == 0 })
}

// WithLabel adds a label to each sample of the families. The name must pass CheckLabel.
func WithLabel(all []Family, name, value string) []Family {
	out := make([]Family, 0, len(all))
	for _, f := range all {
		samples := make([]Sample, 0, len(f.Samples))
		for _, s := range f.Samples {
			samples = append(samples, Sample{s.Value, append([]string{printable(value)}, s.Labels...)})
		}
		f.Labels, f.Samples = append([]string{name}, f.Labels...), samples
		out = append(out, f)
	}
	return out
}

// CheckLabel returns an error if name cannot be the name of another label: monitoring systems
// keep names with two underscores for themselves, and a metric must not have it already.
func CheckLabel(name string) error {
	letters := strings.Trim(name, "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	switch {
	case name == "" || !letters || name[0] >= '0' && name[0] <= '9':
		return errors.New("a label's name has letters, digits and underscores, and begins with no digit")
	case strings.HasPrefix(name, "__"):
		return errors.New("a label's name cannot begin with two underscores")
	case slices.ContainsFunc(Known(), func(f Family) bool { return slices.Contains(f.Labels, name) }):
		return errors.New("the metrics have a label of this name")
	}
	return nil
}

// Known returns all metrics that there are, without samples.
func Known() []Family {
	return slices.Concat(collect(lookTable()), collect(gatewayTable()), collect(supervisorTable()), collect(sidecarTable()), collect(publishTable()), collect(relayTable()))
}

// Family is a metric with its samples.
type Family struct {
	Name    string // ends with _total if the metric is a counter
	Help    string
	Labels  []string // the names of the labels of each sample
	Samples []Sample
}

// Sample is one value of a metric.
type Sample struct {
	Value  float64
	Labels []string // the values of the family's labels
}

// Type returns the type of the metric.
func (f Family) Type() string {
	if strings.HasSuffix(f.Name, totalSuffix) {
		return "counter"
	}
	return "gauge"
}

const totalSuffix = "_total"

// row is a metric of a source. read adds the samples of one source.
type row[S any] struct {
	name, help string
	labels     []string
	read       func(s S, add adder)
}

// adder adds a sample with the values of the row's labels.
type adder func(value float64, labels ...string)

// collect reads the metrics of a table from sources of one kind.
func collect[S any](table []row[S], sources ...S) []Family {
	families := make([]Family, 0, len(table))
	for _, r := range table {
		f := Family{Name: r.name, Help: r.help, Labels: r.labels}
		for _, s := range sources {
			r.read(s, f.add)
		}
		families = append(families, f)
	}
	return families
}

// add adds a sample, unless there is one with these labels. A reader would refuse the whole
// text for a second one, and a protection can be missing for two reasons.
func (f *Family) add(value float64, labels ...string) {
	for i, text := range labels {
		labels[i] = printable(text)
	}
	if !slices.ContainsFunc(f.Samples, func(s Sample) bool { return slices.Equal(s.Labels, labels) }) {
		f.Samples = append(f.Samples, Sample{value, labels})
	}
}

// printable replaces each character that a terminal may obey, as all output of gatewayctl
// does, and each newline.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// value returns the read function of a metric that has always one sample.
func value[S any](of func(S) float64) func(S, adder) {
	return func(s S, add adder) { add(of(s)) }
}

// oneOf adds a sample for each word of a closed set. The present one has the value 1.
func (add adder) oneOf(present string, set []string, labels ...string) {
	for _, word := range set {
		add(truth(word == present), append(slices.Clone(labels), word)...)
	}
}

// truth returns 1 for true and 0 for false.
func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
