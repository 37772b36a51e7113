// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"strconv"
	"strings"
)

// Format is a text format of metrics.
type Format string

// The formats. They differ in the name of a counter's family. A program that reads only one
// of them accepts the other, but does not see that a counter is one.
const (
	OpenMetrics Format = "openmetrics" // OpenMetrics 1.0
	Prometheus  Format = "prometheus"  // the text format 0.0.4, as node_exporter reads it
)

// Formats returns all formats.
func Formats() []Format { return []Format{OpenMetrics, Prometheus} }

// end is the last line. OpenMetrics demands it, and in the other format it is a comment.
// It shows a reader that the text is whole.
const end = "# EOF\n"

// Text returns the families in a format.
func Text(all []Family, format Format) string {
	var b strings.Builder
	for _, f := range all {
		name := f.Name
		if format == OpenMetrics {
			name = strings.TrimSuffix(name, totalSuffix)
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, f.Help, name, f.Type())
		for _, s := range f.Samples {
			b.WriteString(f.Name)
			writeLabels(&b, f.Labels, s.Labels)
			b.WriteString(" " + strconv.FormatFloat(s.Value, 'f', -1, 64) + "\n")
		}
	}
	return b.String() + end
}

func writeLabels(b *strings.Builder, names, values []string) {
	for i, name := range names {
		open := ","
		if i == 0 {
			open = "{"
		}
		b.WriteString(open + name + `="` + escape(values[i]) + `"`)
	}
	if len(names) > 0 {
		b.WriteByte('}')
	}
}

// escape returns the text of a label's value, in which every character is printable.
func escape(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
}
