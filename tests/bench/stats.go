// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// sample is the time of each run, in nanoseconds.
type sample []int64

// quantile returns the value below which the share q of the sample lies, by nearest
// rank. It is always a measured value.
func (s sample) quantile(q float64) int64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) median() int64 { return s.quantile(0.5) }

// spread returns the range from the 10th to the 90th percentile.
func (s sample) spread(unit time.Duration) string {
	if len(s) == 0 {
		return none
	}
	return in(s.quantile(0.1), unit) + " to " + in(s.quantile(0.9), unit)
}

// at returns a quantile as a table shows it. mid returns the median.
func (s sample) at(q float64, unit time.Duration) string {
	if len(s) == 0 {
		return none
	}
	return in(s.quantile(q), unit)
}

func (s sample) mid(unit time.Duration) string { return s.at(0.5, unit) }

// none stands for a peer without an equivalent, or that is not available.
const none = "-"

// in converts nanoseconds to a unit, with three significant digits.
func in(ns int64, unit time.Duration) string { return digits(float64(ns) / float64(unit)) }

func digits(v float64) string {
	size := max(v, -v)
	switch {
	case size >= 100:
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// ratio returns a/b, or none if either is missing.
func ratio(a, b int64) string {
	if a <= 0 || b <= 0 {
		return none
	}
	return digits(float64(a) / float64(b))
}

// atMost returns whether a goal is met, for the table's last column.
func atMost(goal string, value, limit float64) string {
	if value <= limit {
		return goal + ": met"
	}
	return goal + ": MISSED"
}
