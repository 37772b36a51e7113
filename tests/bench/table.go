// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// table is one measurement, with the same text in a terminal and in Markdown.
type table struct {
	title string
	about string // what was measured, in one paragraph
	head  []string
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String aligns the first column and the last, which has the verdicts, to the left.
// It aligns the others to the right.
func (t *table) String() string {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	left := func(i int) bool { return i == 0 || i == len(t.head)-1 }
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s\n\n", t.title, t.about)
	line := func(cells []string) {
		for i, width := range widths {
			pad := strings.Repeat(" ", width-utf8.RuneCountInString(cells[i]))
			if left(i) {
				fmt.Fprintf(&b, "| %s%s ", cells[i], pad)
			} else {
				fmt.Fprintf(&b, "| %s%s ", pad, cells[i])
			}
		}
		b.WriteString("|\n")
	}
	line(t.head)
	for i, width := range widths {
		if left(i) {
			fmt.Fprintf(&b, "|-%s-", strings.Repeat("-", width))
		} else {
			fmt.Fprintf(&b, "|-%s:", strings.Repeat("-", width))
		}
	}
	b.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

// Markers in docs/benchmarks.md. make bench writes the text between them.
const (
	opening = "<!-- make bench -->\n"
	closing = "<!-- end of make bench -->\n"
)

// replace puts section between the markers of a document.
func replace(document, section string) (string, error) {
	before, rest, ok := strings.Cut(document, opening)
	_, after, closed := strings.Cut(rest, closing)
	if !ok || !closed || strings.Contains(rest, opening) || strings.Contains(after, closing) {
		return "", errors.New("the markers " + strings.TrimSpace(opening) + " and " + strings.TrimSpace(closing) +
			" must be there once, in this order")
	}
	return before + opening + "\n" + strings.TrimSpace(section) + "\n\n" + closing + after, nil
}
