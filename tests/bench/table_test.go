// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	table := &table{title: "Time", about: "What it took.", head: []string{"init", "µs", "goal"}}
	table.add("tini", "5", "")
	table.add("x", "12345", "less: met")
	want := `### Time

What it took.

| init |    µs | goal      |
|------|------:|-----------|
| tini |     5 |           |
| x    | 12345 | less: met |
`
	if got := table.String(); got != want {
		t.Errorf("%s", got)
	}
}

func TestReplace(t *testing.T) {
	tests := map[string]struct {
		document, want string
		refused        bool
	}{
		"empty":     {"a\n" + opening + closing + "b\n", "a\n" + opening + "\nnew\n\n" + closing + "b\n", false},
		"old":       {"a\n" + opening + "old\n" + closing, "a\n" + opening + "\nnew\n\n" + closing, false},
		"none":      {"a\n", "", true},
		"unclosed":  {"a\n" + opening, "", true},
		"backwards": {closing + opening, "", true},
		"twice":     {strings.Repeat(opening+closing, 2), "", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := replace(test.document, "\nnew\n")
			if got != test.want || (err != nil) != test.refused {
				t.Errorf("%q, %v", got, err)
			}
			if err != nil {
				return
			}
			if again, err := replace(got, "new"); again != got || err != nil {
				t.Errorf("not stable: %q, %v", again, err)
			}
		})
	}
}

// TestMarkers checks that the document that make bench writes has its markers.
func TestMarkers(t *testing.T) {
	data, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replace(string(data), ""); err != nil {
		t.Error(err)
	}
}
