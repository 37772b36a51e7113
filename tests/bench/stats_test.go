// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	hundred := sample{}
	for i := range int64(100) {
		hundred = append(hundred, 100-i) // 1 to 100, backwards
	}
	tests := map[string]struct {
		s    sample
		q    float64
		want int64
	}{
		"empty":         {nil, 0.5, 0},
		"one":           {sample{7}, 0.99, 7},
		"odd-median":    {sample{9, 1, 5}, 0.5, 5},
		"even-median":   {sample{4, 1, 3, 2}, 0.5, 3},
		"lowest":        {hundred, 0, 1},
		"p10":           {hundred, 0.1, 11},
		"p99":           {hundred, 0.99, 100},
		"beyond":        {hundred, 1, 100},
		"not-rewriting": {hundred, 0.5, 51},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.s.quantile(test.q); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
	if hundred[0] != 100 {
		t.Error("the sample was sorted in place: its order is the order of the runs")
	}
}

func TestFigures(t *testing.T) {
	s := sample{1_234_000, 12_340_000, 123_400_000}
	tests := map[string]struct{ got, want string }{
		"median":        {s.mid(time.Millisecond), "12.3"},
		"spread":        {s.spread(time.Millisecond), "1.23 to 123"},
		"nothing":       {sample(nil).mid(time.Millisecond), none},
		"no-spread":     {sample(nil).spread(time.Millisecond), none},
		"negative":      {in(-15_000, time.Microsecond), "-15.0"},
		"ratio":         {ratio(3, 2), "1.50"},
		"ratio-of-none": {ratio(3, 0), none},
		"count":         {sample{1, 12345, 12346}.mid(one), "12345"},
		"counts":        {sample{1, 12345, 12346}.spread(one), "1 to 12346"},
		"mean":          {number(s.mean(time.Millisecond)), "45.7"},
		"no-mean":       {number(sample(nil).mean(one)), none},
		"minus":         {s.minus(234_000).mid(time.Millisecond), "12.1"},
		"absent":        {number(absent), none},
	}
	for name, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", name, test.got, test.want)
		}
	}
}
