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

// verdict is the outcome of one check.
type verdict struct {
	result  Result
	detail  string
	excused bool
}

func held(format string, args ...any) verdict {
	return verdict{result: Held, detail: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) verdict {
	return verdict{result: Failed, detail: fmt.Sprintf(format, args...)}
}

func note(format string, args ...any) verdict {
	return verdict{result: Note, detail: fmt.Sprintf(format, args...)}
}

// unavailable returns the verdict for a check that could be made and was not,
// which is not a success.
func unavailable(format string, args ...any) verdict {
	return verdict{result: NotAvailable, detail: fmt.Sprintf(format, args...)}
}

// beyond returns the verdict for a check of something that the source does not
// have at all.
func beyond(format string, args ...any) verdict {
	return verdict{result: NotAvailable, detail: fmt.Sprintf(format, args...), excused: true}
}

// none returns a held verdict if there are no findings, and otherwise a failed
// one that names the first few.
func none(findings []string, problem, good string, args ...any) verdict {
	if len(findings) > 0 {
		return failed("%s: %s", problem, some(findings))
	}
	return held(good, args...)
}

// some returns the first few items of a list.
func some(list []string) string {
	const most = 5
	short := make([]string, 0, most)
	for _, item := range list[:min(most, len(list))] {
		short = append(short, fmt.Sprintf("%.200s", item))
	}
	text := strings.Join(short, ", ")
	if len(list) > most {
		text += fmt.Sprintf(" and %d more", len(list)-most)
	}
	return text
}
