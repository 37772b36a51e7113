// SPDX-License-Identifier: Apache-2.0

package main

import (
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
	chart *chart // nil: none
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// skip adds the row of a contender that is not available.
func (t *table) skip(name, why string) {
	cells := []string{name + " (" + why + ")"}
	for range t.head[1:] {
		cells = append(cells, none)
	}
	t.add(cells...)
}

// String returns the title, the paragraph and the grid.
func (t *table) String() string {
	return fmt.Sprintf("### %s\n\n%s\n\n%s", t.title, t.about, t.grid())
}

// words are the heads of columns that are aligned to the left, as the first one is.
var words = map[string]bool{"verdict": true, "linked": true}

// grid returns the rows with their heads.
func (t *table) grid() string {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	left := func(i int) bool { return i == 0 || words[t.head[i]] }
	var b strings.Builder
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
