// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// read counts tests, leaves and their parents alike, as go test does. It prints the
// output of failed and skipped tests, and of packages that failed without a test.
func read(in io.Reader, stdout io.Writer) (part, error) {
	var r part
	output := map[string][]string{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(stdout, lines.Text()) // a build error
			continue
		}
		key := e.Package + " " + e.Test
		if e.Action == "output" || e.Action == "build-output" {
			output[key] = append(output[key], e.Output)
			continue
		}
		r.took(e)
		switch {
		case e.Test != "" && e.Action == "pass":
			r.Passed++
		case e.Test != "" && e.Action == "fail":
			r.Failed++
			r.fail(e, output[key])
			fmt.Fprint(stdout, strings.Join(output[key], ""))
		case e.Test != "" && e.Action == "skip":
			r.Skipped++
			fmt.Fprint(stdout, strings.Join(output[key], ""))
		case e.Test == "" && (e.Action == "fail" || e.Action == "build-fail"):
			r.fail(e, output[key])
			fmt.Fprint(stdout, strings.Join(output[key], ""))
		case e.Test == "" && e.Action == "pass":
			fmt.Fprint(stdout, lastLine(output[key]))
		default:
			continue
		}
		delete(output, key)
	}
	return r, lines.Err()
}

func lastLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// took records how long a package or a test took, subtests excluded.
func (r *part) took(e event) {
	if e.Action != "pass" && e.Action != "fail" {
		return
	}
	name := strings.TrimPrefix(e.Package, "github.com/gateway-init/gateway-init/")
	switch {
	case e.Test == "":
		r.Packages = slowest(append(r.Packages, timing{name, e.Elapsed}))
	case !strings.Contains(e.Test, "/"):
		r.Tests = slowest(append(r.Tests, timing{name + " " + e.Test, e.Elapsed}))
	}
}

// fail records why a test or a package failed.
func (r *part) fail(e event, output []string) {
	if lines := firstSaid(output); len(lines) > 0 {
		name := strings.TrimSpace(strings.TrimPrefix(e.Package, "github.com/gateway-init/gateway-init/") + " " + e.Test)
		r.Failures = append(r.Failures, failure{name, lines})
	}
}
