// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"strings"
)

// Result is the outcome of a check; the words are those of gatewayctl status.
type Result string

// The results.
const (
	Held         Result = "held"
	Failed       Result = "failed"
	NotAvailable Result = "not-available"
	// Note names something that the image leaves open. It is not a failure,
	// because some gateways cannot close it.
	Note Result = "note"
)

// Report is the result of Run, schema 1 (docs/image.md). Members are only ever
// added within one schema.
type Report struct {
	Schema  int     `json:"schema"`
	Profile string  `json:"profile"`
	OK      bool    `json:"ok"` // every check held that can be made of such a source
	Checks  []Check `json:"checks"`
}

// Check is one check and its outcome.
type Check struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
	Detail string `json:"detail"`
	// Excused means that NotAvailable is not a failure, because the source has
	// no such thing, or the caller did not ask for the check.
	Excused bool `json:"-"`
}

// OK reports whether the check lets the image pass.
func (c Check) OK() bool { return c.Result == Held || c.Result == Note || c.Excused }

// checkResult is the outcome of one check.
type checkResult struct {
	result  Result
	detail  string
	excused bool
}

func resultHeld(format string, args ...any) checkResult {
	return checkResult{result: Held, detail: fmt.Sprintf(format, args...)}
}

func resultFailed(format string, args ...any) checkResult {
	return checkResult{result: Failed, detail: fmt.Sprintf(format, args...)}
}

func resultNote(format string, args ...any) checkResult {
	return checkResult{result: Note, detail: fmt.Sprintf(format, args...)}
}

// resultUnavailable returns the result of a check that could be made and was not,
// which is not a success.
func resultUnavailable(format string, args ...any) checkResult {
	return checkResult{result: NotAvailable, detail: fmt.Sprintf(format, args...)}
}

// resultNotApplicable returns the result of a check of something that the source
// does not have at all.
func resultNotApplicable(format string, args ...any) checkResult {
	return checkResult{result: NotAvailable, detail: fmt.Sprintf(format, args...), excused: true}
}

// resultOfFindings returns a held result if there are no findings, and otherwise a
// failed one that names the first few.
func resultOfFindings(findings []string, problem, good string, args ...any) checkResult {
	if len(findings) > 0 {
		return resultFailed("%s: %s", problem, joinFew(findings))
	}
	return resultHeld(good, args...)
}

// fewFindings is how many findings a detail names.
const fewFindings = 5

// joinFew returns the first few items of a list.
func joinFew(list []string) string { return joinPlaces(list, 0) }

// joinPlaces returns the first few items of a list that has more than are in it.
func joinPlaces(list []string, more int) string {
	short := make([]string, 0, fewFindings)
	for _, item := range list[:min(fewFindings, len(list))] {
		short = append(short, fmt.Sprintf("%.200s", item))
	}
	text := strings.Join(short, ", ")
	if more += len(list) - len(short); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
