// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/reason"
)

var update = flag.Bool("update", false, "write the table of reasons.md")

// reasonTable returns the generated table of docs/reasons.md.
func reasonTable() string {
	var b strings.Builder
	b.WriteString("| reason | exit | meaning | next step |\n|---|---|---|---|\n")
	for _, r := range reason.List() {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", r, r.ExitCode(), r.Text(), r.Next())
	}
	return b.String()
}

// The table of the page is a copy of the rows in the code.
func TestReasonTable(t *testing.T) {
	page := read(t, "docs/reasons.md")
	const heading = "## Of requests and of the gateway\n"
	start := strings.Index(page, heading)
	if start < 0 {
		t.Fatalf("docs/reasons.md does not have %q", heading)
	}
	first := strings.Index(page[start:], "\n|")
	if first < 0 {
		t.Fatalf("docs/reasons.md has no table under %q", heading)
	}
	start += first + 1
	length := strings.Index(page[start:], "\n\n")
	if length < 0 {
		t.Fatal("docs/reasons.md ends with its first table")
	}
	end := start + length + 1
	have, want := page[start:end], reasonTable()
	if have == want {
		return
	}
	if *update {
		if err := os.WriteFile("reasons.md", []byte(page[:start]+want+page[end:]), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table of docs/reasons.md differs (go test ./docs -update writes it):\n%s", difference(have, want))
}

// difference returns the lines that only one of the texts has. If they have the
// same lines, it returns all of want, because then the order differs.
func difference(have, want string) string {
	old, next := slices.Collect(strings.Lines(have)), slices.Collect(strings.Lines(want))
	var b strings.Builder
	for _, line := range old {
		if !slices.Contains(next, line) {
			b.WriteString("-" + line)
		}
	}
	for _, line := range next {
		if !slices.Contains(old, line) {
			b.WriteString("+" + line)
		}
	}
	if b.Len() == 0 {
		return "the order is:\n" + want
	}
	return b.String()
}

// The text below the table is about words of the table, each once and in its order.
func TestReasonDetails(t *testing.T) {
	_, page, _ := strings.Cut(read(t, "docs/reasons.md"), "\n### ")
	page, _, _ = strings.Cut(page, "\n## ")
	items := regexp.MustCompile("(?m)^- `([^`]+)`: ").FindAllStringSubmatch(page, -1)
	if len(items) < 15 {
		t.Fatalf("found only %q", items)
	}
	last := -1
	for _, m := range items {
		i := slices.Index(reason.List(), reason.Reason(m[1]))
		if i < 0 {
			t.Errorf("docs/reasons.md: the item %s is no word of internal/reason/table.go", m[1])
		} else if i <= last {
			t.Errorf("docs/reasons.md: move the item %s, because items stand in the order of the table", m[1])
		}
		last = max(last, i)
	}
}

// The manual lists the words of the exit codes that say more than "failed".
func TestManualHasTheReasons(t *testing.T) {
	page := read(t, "man/gatewayctl.1.md")
	for _, code := range []int{reason.ExitRefused, reason.ExitNotServing} {
		m := regexp.MustCompile(fmt.Sprintf(`(?m)^\| %d \| [a-z ]+: ([a-z, -]+);`, code)).FindStringSubmatch(page)
		if m == nil {
			t.Errorf("man/gatewayctl.1.md does not list the words of exit code %d", code)
			continue
		}
		var known []string
		for _, r := range reason.List() {
			if r.ExitCode() == code {
				known = append(known, string(r))
			}
		}
		same(t, fmt.Sprintf("man/gatewayctl.1.md, EXIT STATUS, row %d", code), strings.Split(m[1], ", "), known)
	}
}
