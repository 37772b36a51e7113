// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// noise is how busy the CPUs were when the benchmark itself did nothing, in percent.
type noise []float64

// Limits of noise.
const (
	listenFor = 500 * time.Millisecond
	loud      = 10.0 // percent: more disturbs the figures
)

// listen adds one observation.
func (n *noise) listen() error {
	before, err := os.ReadFile("/proc/stat")
	if err != nil {
		return err
	}
	time.Sleep(listenFor)
	after, err := os.ReadFile("/proc/stat")
	if err != nil {
		return err
	}
	percent, err := busy(string(before), string(after))
	*n = append(*n, percent)
	return err
}

// busy returns the share of the time between two contents of /proc/stat in which the
// CPUs were not idle, in percent. Time that a hypervisor took counts as busy.
func busy(before, after string) (float64, error) {
	idle, total := int64(0), int64(0)
	for sign, text := range map[int64]string{-1: before, 1: after} {
		line, _, _ := strings.Cut(text, "\n")
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != "cpu" {
			return 0, errors.New("cannot parse /proc/stat")
		}
		for i, field := range fields[1:9] { // guest times are part of user
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("cannot parse /proc/stat: %w", err)
			}
			total += sign * ticks
			if i == 3 || i == 4 { // idle, iowait
				idle += sign * ticks
			}
		}
	}
	if total <= 0 {
		return 0, nil
	}
	return 100 * float64(total-idle) / float64(total), nil
}

// String says how quiet the machine was.
func (n noise) String() string {
	if len(n) == 0 {
		return ""
	}
	sum, most := 0.0, 0.0
	for _, v := range n {
		sum, most = sum+v, max(most, v)
	}
	mean := sum / float64(len(n))
	text := fmt.Sprintf("Before, between and after the measurements, other programs used %.0f %% of the CPUs on average, and %.0f %% at most.", mean, most)
	if mean > loud {
		return "**Other work disturbed this run.** " + text
	}
	return text
}
