// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// failure is a failed test, or a package that failed without one, and its first
// messages. Its whole output, with the log of its container, comes far above the
// table. A reader of only the end of a long run needs the reason there.
type failure struct {
	Name string   `json:"name"`
	Said []string `json:"said"`
}

const (
	saidMessages = 3   // of each failure
	saidLines    = 5   // of each message
	saidLength   = 400 // bytes of each line
)

// said matches the beginning of a message of t.Error, and of Go's report of a
// panic, a race, a deadline or a build error.
var said = regexp.MustCompile(`^\s*[\w./-]+\.go:\d+(:\d+)?: |^panic: |^fatal error: |^WARNING: DATA RACE`)

// firstSaid returns the first messages of the output of a failure.
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

// printFailures prints the part of the table that exists only after a failure. A
// parent that failed for its subtest alone has no message of its own.
func printFailures(stdout io.Writer, part string, all []failure) {
	for _, f := range all {
		fmt.Fprintf(stdout, "\nfailed: %s (%s)\n", f.Name, part)
		for _, line := range f.Said {
			fmt.Fprintf(stdout, "    %s\n", line)
		}
	}
}
