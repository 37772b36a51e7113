// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// part is the result of one part of a run, and a line of the tally.
type part struct {
	Part       string    `json:"part"`
	Passed     int       `json:"passed"`
	Failed     int       `json:"failed"`
	Skipped    int       `json:"skipped"`
	Seconds    float64   `json:"seconds"`
	Containers int       `json:"containers"`
	Packages   []timing  `json:"packages,omitempty"`
	Tests      []timing  `json:"tests,omitempty"`
	Failures   []failure `json:"failures,omitempty"`
}

// timing is how long a package or a test took.
type timing struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// shown is the number of packages and tests in the table.
const shown = 10

// slowest returns the slowest of all.
func slowest(all []timing) []timing {
	slices.SortStableFunc(all, func(a, b timing) int {
		switch {
		case a.Seconds > b.Seconds:
			return -1
		case a.Seconds < b.Seconds:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all[:min(len(all), shown)]
}

func (r part) figures() string {
	text := fmt.Sprintf("%d passed, %d failed", r.Passed, r.Failed)
	if r.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.Skipped)
	}
	return text
}

// note appends a line to the tally.
func note(path string, r part) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("cannot write tally: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// total prints the table, the reasons of failures and, last, the sum.
func total(path string, stdout, stderr io.Writer) int {
	data, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintf(stderr, "cannot read tally: %v\n", err)
		return 1
	}
	var sum part
	var failures strings.Builder
	fmt.Fprintf(stdout, "\n%-14s %8s %7s %7s %8s %11s\n", "part", "seconds", "passed", "failed", "skipped", "containers")
	for line := range strings.Lines(string(data)) {
		var r part
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			fmt.Fprintf(stderr, "cannot read tally line %q: %v\n", line, err)
			return 1
		}
		fmt.Fprintf(stdout, "%-14s %8.0f %7d %7d %8d %11d\n", r.Part, r.Seconds, r.Passed, r.Failed, r.Skipped, r.Containers)
		sum.Passed += r.Passed
		sum.Failed += r.Failed
		sum.Skipped += r.Skipped
		sum.Containers += r.Containers
		for i := range r.Packages {
			r.Packages[i].Name += " (" + r.Part + ")"
		}
		for i := range r.Tests {
			r.Tests[i].Name += " (" + r.Part + ")"
		}
		sum.Packages = slowest(append(sum.Packages, r.Packages...))
		sum.Tests = slowest(append(sum.Tests, r.Tests...))
		printFailures(&failures, r.Part, r.Failures)
	}
	list(stdout, "slowest packages", sum.Packages)
	list(stdout, "slowest tests", sum.Tests)
	fmt.Fprintf(stdout, "\ncontainers started: %d\n%s%s\n", sum.Containers, failures.String(), sum.figures())
	return 0
}

func list(stdout io.Writer, title string, all []timing) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(stdout, "\n%s\n", title)
	for _, t := range all {
		fmt.Fprintf(stdout, "%8.1f s  %s\n", t.Seconds, t.Name)
	}
}
