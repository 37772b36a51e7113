// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// sample is the figure of each run: nanoseconds, or a count.
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

// middle returns the median in a unit, or absent. mean returns the mean.
func (s sample) middle(unit time.Duration) float64 { return s.share(0.5, unit) }

func (s sample) share(q float64, unit time.Duration) float64 {
	if len(s) == 0 {
		return absent
	}
	return float64(s.quantile(q)) / float64(unit)
}

func (s sample) mean(unit time.Duration) float64 {
	if len(s) == 0 {
		return absent
	}
	sum := int64(0)
	for _, v := range s {
		sum += v
	}
	return float64(sum) / float64(len(s)) / float64(unit)
}

// minus returns the sample without ns in each value.
func (s sample) minus(ns int64) sample {
	less := make(sample, 0, len(s))
	for _, v := range s {
		less = append(less, v-ns)
	}
	return less
}

// one is the unit of counts.
const one = time.Duration(1)

// spread returns the range from the 10th to the 90th percentile.
func (s sample) spread(unit time.Duration) string {
	if len(s) == 0 {
		return none
	}
	return s.at(0.1, unit) + " to " + s.at(0.9, unit)
}

// at returns a quantile as a table shows it. mid returns the median.
func (s sample) at(q float64, unit time.Duration) string {
	if len(s) > 0 && unit == one {
		return fmt.Sprint(s.quantile(q))
	}
	return number(s.share(q, unit))
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
		return whole(v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }

// number returns v for a table, or none.
func number(v float64) string {
	if math.IsNaN(v) {
		return none
	}
	return digits(v)
}

// ratio returns a/b, or none if either is missing.
func ratio(a, b int64) string {
	if a <= 0 || b <= 0 {
		return none
	}
	return digits(float64(a) / float64(b))
}
