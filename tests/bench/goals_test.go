// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	tests := map[string]struct {
		value, limit float64
		want         string
	}{
		"less":         {1, 2, met},
		"equal":        {2, 2, met},
		"more":         {2.01, 2, missed},
		"none-allowed": {0, 0, met},
		"not-measured": {absent, 2, unknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (goal{limit: test.limit, value: test.value}).verdict(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestOf(t *testing.T) {
	if got := of(3, 2); got != 1.5 {
		t.Errorf("%g, want 1.5", got)
	}
	for name, pair := range map[string][2]float64{"no-value": {absent, 2}, "no-peer": {2, absent}, "zero": {2, 0}} {
		if got := of(pair[0], pair[1]); !math.IsNaN(got) {
			t.Errorf("%s: %g", name, got)
		}
	}
}

func TestGoalTable(t *testing.T) {
	var r report
	r.require("boot", "", 0.45, 0.5, absent)
	r.require("file", "KiB", 3584, 3088, 3000)
	r.require("wait", "ms", 1, 0.123, 1.5)
	want := `| what must hold |     goal | measured |   before | verdict |
|----------------|---------:|---------:|---------:|---------|
| boot           |     0.45 |     0.50 |        - | MISSED  |
| file           | 3584 KiB | 3088 KiB | 3000 KiB | met     |
| wait           |     1 ms |  0.12 ms |  1.50 ms | met     |
`
	if got := r.goalTable(true).grid(); got != want {
		t.Errorf("%s", got)
	}
	if got := r.goalTable(false).grid(); strings.Contains(got, "before") || !strings.Contains(got, missed) {
		t.Errorf("%s", got)
	}
}
