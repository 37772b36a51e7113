// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestTable(t *testing.T) {
	table := &table{title: "Time", about: "What it took.", head: []string{"init", "µs", "verdict"}}
	table.add("tini", "5", "")
	table.add("x", "12345", "less: met")
	table.skip("y", "gone")
	want := `### Time

What it took.

| init     |    µs | verdict   |
|----------|------:|-----------|
| tini     |     5 |           |
| x        | 12345 | less: met |
| y (gone) |     - | -         |
`
	if got := table.String(); got != want {
		t.Errorf("%s", got)
	}
}
