// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// chart is a picture of one table: a bar for each contender.
type chart struct {
	file  string // without its extension
	title string
	unit  string
	bars  []bar
}

// bar is one figure with its spread.
type bar struct {
	name             string
	value, low, high float64
	ours             bool
}

// bar adds a bar. Nothing is added for an empty sample.
func (c *chart) bar(name string, s sample, unit time.Duration, ours bool) {
	if len(s) > 0 {
		c.bars = append(c.bars, bar{name, s.middle(unit), s.share(0.1, unit), s.share(0.9, unit), ours})
	}
}

// figure adds a bar without a spread. Nothing is added for a missing figure.
func (c *chart) figure(name string, v float64, ours bool) {
	if !math.IsNaN(v) {
		c.bars = append(c.bars, bar{name, v, v, v, ours})
	}
}

// Places in a chart, in pixels.
const (
	chartWidth = 760
	nameWidth  = 290
	barWidth   = 360 // of the largest figure
	rowHeight  = 26
	firstRow   = 44
)

// style has the colors for a light and for a dark page.
const style = `text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.bar{fill:#8c959f}.ours{fill:#0969da}.spread{stroke:#1f2328;stroke-width:1.5;fill:none}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.bar{fill:#6e7681}.ours{fill:#4493f8}.spread{stroke:#e6edf3}}`

// svg draws the chart.
func (c *chart) svg() string {
	largest := 0.0
	for _, b := range c.bars {
		largest = max(largest, b.high, b.value)
	}
	scale := func(v float64) float64 {
		if largest <= 0 {
			return 0
		}
		return math.Round(10*max(v, 0)/largest*barWidth) / 10
	}
	height := firstRow + rowHeight*len(c.bars) + 8
	var s strings.Builder
	fmt.Fprintf(&s, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n", chartWidth, height, chartWidth, height)
	fmt.Fprintf(&s, "<title>%s</title>\n<style>%s</style>\n", html.EscapeString(c.title), style)
	fmt.Fprintf(&s, "<text class=\"title\" x=\"8\" y=\"22\">%s</text>\n", html.EscapeString(c.title))
	for i, b := range c.bars {
		y, class := firstRow+rowHeight*i, "bar"
		if b.ours {
			class = "bar ours"
		}
		end := nameWidth + scale(b.value)
		fmt.Fprintf(&s, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", nameWidth-8, y+14, html.EscapeString(b.name))
		fmt.Fprintf(&s, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%g\" height=\"18\"/>", class, nameWidth, y, scale(b.value))
		if b.low < b.high {
			low, high := nameWidth+scale(b.low), nameWidth+scale(b.high)
			fmt.Fprintf(&s, "<path class=\"spread\" d=\"M%g %dv8M%g %dh%gM%g %dv8\"/>", low, y+5, low, y+9, math.Round(10*(high-low))/10, high, y+5)
			end = max(end, high)
		}
		fmt.Fprintf(&s, "<text x=\"%g\" y=\"%d\">%s %s</text>\n", end+8, y+14, digits(b.value), html.EscapeString(c.unit))
	}
	s.WriteString("</svg>\n")
	return s.String()
}
