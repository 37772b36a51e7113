// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
)

// Colors of a verdict, as SGR parameters.
const (
	colorGreen  = "32"
	colorYellow = "33"
	colorRed    = "31"
)

// labelWidth is the width of the first column; pageWidth is the width of a page.
const (
	labelWidth = 14
	pageWidth  = 80
)

// row is one fact of a page. A row without a label continues the row above it. The
// text of a tight row follows its label at once.
type row struct {
	label, text string
	tight       bool
}

// page collects the rows for a person. A live page says how long ago something
// was. Any other page has the time itself, so that it changes only with the facts.
type page struct {
	rows []row
	now  time.Time
	live bool
}

// add appends a row; an empty text adds nothing.
func (p *page) add(label, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); text != "" {
		p.rows = append(p.rows, row{label: clean(label), text: clean(text)})
	}
}

// since says how long something lasts, or when it began.
func (p *page) since(t time.Time) string {
	if p.live {
		return "for " + operate.FormatSpan(p.now.Sub(t))
	}
	return "since " + formatClock(t)
}

// ago formats a past time.
func (p *page) ago(t time.Time) string {
	if p.live {
		return operate.FormatSpan(p.now.Sub(t)) + " ago"
	}
	return "at " + formatClock(t)
}

// until formats a time that will come.
func (p *page) until(t time.Time) string {
	if p.live {
		return "in " + operate.FormatSpan(t.Sub(p.now))
	}
	return "at " + formatClock(t)
}

// renewed says when a check or the record was last made anew, after text. A page that
// is not live says nothing, because that alone is no change.
func (p *page) renewed(text string, t *time.Time) string {
	if t == nil || !p.live {
		return ""
	}
	return text + p.ago(*t)
}

func formatClock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// String returns the page, 80 columns wide.
func (p *page) String() string {
	var b strings.Builder
	for _, r := range p.rows {
		r.write(&b)
	}
	return b.String()
}

// write breaks the text between words. A word longer than a line stays whole.
func (r row) write(b *strings.Builder) {
	if r.text == "" {
		b.WriteString(r.label + "\n")
		return
	}
	width := labelWidth - 1
	if r.tight {
		width = 0
	}
	fmt.Fprintf(b, "%-*s", width, r.label)
	column := max(width, utf8.RuneCountInString(r.label))
	for i, word := range strings.Fields(r.text) {
		n := utf8.RuneCountInString(word)
		if i > 0 && column+1+n > pageWidth {
			b.WriteByte('\n')
			b.WriteString(strings.Repeat(" ", labelWidth-1))
			column = labelWidth - 1
		}
		b.WriteByte(' ')
		b.WriteString(word)
		column += 1 + n
	}
	b.WriteByte('\n')
}

// paint colors the first word of the page, which is the verdict.
func paint(text, word, color string) string {
	return "\x1b[1;" + color + "m" + word + "\x1b[0m" + strings.TrimPrefix(text, word)
}

func pluralS(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
