// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
)

// report is what a run found out.
type report struct {
	tables []*table
	goals  []goal
}

// goal is a figure that must not be larger than its limit.
type goal struct {
	what  string
	unit  string // "" for a ratio
	limit float64
	value float64 // NaN: not measured
	old   float64 // of the build before; NaN: not measured
}

// absent stands for a figure that was not measured.
var absent = math.NaN()

// Verdicts of a goal.
const (
	met     = "met"
	missed  = "MISSED"
	unknown = "not measured"
)

func (g goal) verdict() string {
	switch {
	case math.IsNaN(g.value):
		return unknown
	case g.value <= g.limit:
		return met
	}
	return missed
}

// figure returns a value with the goal's unit.
func (g goal) figure(v float64) string {
	switch {
	case math.IsNaN(v):
		return none
	case v == math.Trunc(v):
		return strings.TrimSpace(whole(v) + " " + g.unit)
	}
	return strings.TrimSpace(digits(v) + " " + g.unit)
}

// add adds a table to the report.
func (r *report) add(t *table) { r.tables = append(r.tables, t) }

// require adds a goal.
func (r *report) require(what, unit string, limit, value, old float64) {
	r.goals = append(r.goals, goal{what, unit, limit, value, old})
}

// goalTable returns the table of all goals. With before it has a column for the
// build before.
func (r *report) goalTable(before bool) *table {
	t := &table{title: "Goals", about: "Each figure must be at most the goal.", head: []string{"what must hold", "goal", "measured", "verdict"}}
	if before {
		t.head = []string{"what must hold", "goal", "measured", "before", "verdict"}
	}
	for _, g := range r.goals {
		cells := []string{g.what, g.figure(g.limit), g.figure(g.value)}
		if before {
			cells = append(cells, g.figure(g.old))
		}
		t.add(append(cells, g.verdict())...)
	}
	return t
}

// of returns a/b, or absent if there is no such ratio.
func of(a, b float64) float64 {
	if !(a >= 0 && b > 0) { // NaN too
		return absent
	}
	return a / b
}
