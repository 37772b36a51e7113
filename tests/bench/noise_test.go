// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestBusy(t *testing.T) {
	const before = "cpu  100 0 100 1000 10 0 0 5 50 0\ncpu0 1 1 1 1\n"
	tests := map[string]struct {
		after   string
		want    float64
		refused bool
	}{
		"idle":    {"cpu  100 0 100 1090 20 0 0 5 50 0\n", 0, false},
		"user":    {"cpu  125 0 100 1075 10 0 0 5 75 0\n", 25, false},
		"stolen":  {"cpu  100 0 100 1050 10 0 0 55 50 0\n", 50, false},
		"no-time": {before, 0, false},
		"short":   {"cpu 1 2\n", 0, true},
		"words":   {"cpu  a b c d e f g h\n", 0, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := busy(before, test.after)
			if got != test.want || (err != nil) != test.refused {
				t.Errorf("%g, %v", got, err)
			}
		})
	}
}

func TestNoise(t *testing.T) {
	if text := (noise{1, 2, 6}).String(); strings.Contains(text, "disturbed") || !strings.Contains(text, "3 % of the CPUs on average, and 6 %") {
		t.Error(text)
	}
	if text := (noise{5, 40}).String(); !strings.HasPrefix(text, "**Other work disturbed this run.**") {
		t.Error(text)
	}
}
