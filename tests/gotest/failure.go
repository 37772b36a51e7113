// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// failure is a failed test, or a package that failed without one, and the first
// things that it said. Its whole output, with the log of its container, comes
// far above the table, and who keeps only the end of a long run needs the reason.
type failure struct {
	Name string   `json:"name"`
	Said []string `json:"said"`
}

const (
	saidMessages = 3   // of each failure
	saidLines    = 5   // of each message
	saidLength   = 400 // bytes of each line
)

// said is how t.Error begins a message, how Go reports a panic, a race or a
// deadline, and how the compiler says what it cannot build.
var said = regexp.MustCompile(`^\s*[\w./-]+\.go:\d+(:\d+)?: |^panic: |^fatal error: |^WARNING: DATA RACE`)

// firstSaid picks from the output of a failure.
func firstSaid(output []string) []string {
	var picked []string
	messages, left := 0, 0
	for _, line := range output {
		if said.MatchString(line) {
			messages, left = messages+1, saidLines
		}
		if messages > saidMessages {
			break
		}
		if left > 0 {
			left--
			line = strings.TrimRight(line, "\n")
			picked = append(picked, strings.ToValidUTF8(line[:min(len(line), saidLength)], ""))
		}
	}
	return picked
}

// printFailures is the part of the table that is there only after a failure. A
// parent that failed for its subtest alone has nothing of its own to say.
func printFailures(stdout io.Writer, part string, all []failure) {
	for _, f := range all {
		fmt.Fprintf(stdout, "\nfailed: %s (%s)\n", f.Name, part)
		for _, line := range f.Said {
			fmt.Fprintf(stdout, "    %s\n", line)
		}
	}
}
