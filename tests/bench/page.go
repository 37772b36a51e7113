// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// Places of what is written, in the directory of the pages.
const (
	pageFile  = "benchmarks.md"
	chartsDir = "benchmarks"
)

// pageText is the page's template. All text that is no figure is there.
//
//go:embed page.md.tmpl
var pageText string

// page fills the template.
type page struct {
	Machine, Noise string
	report         report
	before         bool
}

// Goals returns the grid of all goals.
func (p page) Goals() string { return p.report.goalTable(p.before).grid() }

// Missed returns the goals that are missed.
func (p page) Missed() (all []string) {
	for _, g := range p.report.goals {
		if g.verdict() == missed {
			all = append(all, fmt.Sprintf("%s: %s, and the goal is %s", g.what, g.figure(g.value), g.figure(g.limit)))
		}
	}
	return all
}

// Tables returns all measurements, each with its chart.
func (p page) Tables() string {
	var all []string
	for _, t := range p.report.tables {
		text := t.String()
		if t.chart != nil {
			text += fmt.Sprintf("\n![%s](%s/%s.svg)\n", t.chart.title, chartsDir, t.chart.file)
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

// render returns the whole page.
func (p page) render() (string, error) {
	t, err := template.New(pageFile).Parse(pageText)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, p)
	return b.String(), err
}

// writePage writes the page and its charts into the directory of the pages. Charts
// of a former run are removed.
func writePage(dir string, p page) error {
	text, err := p.render()
	if err != nil {
		return err
	}
	charts := filepath.Join(dir, chartsDir)
	former, err := filepath.Glob(filepath.Join(charts, "*.svg"))
	if err != nil {
		return err
	}
	for _, file := range former {
		err = errors.Join(err, os.Remove(file))
	}
	if err := errors.Join(err, os.MkdirAll(charts, 0o755)); err != nil {
		return err
	}
	for _, t := range p.report.tables {
		if t.chart != nil {
			err = errors.Join(err, os.WriteFile(filepath.Join(charts, t.chart.file+".svg"), []byte(t.chart.svg()), 0o644))
		}
	}
	return errors.Join(err, os.WriteFile(filepath.Join(dir, pageFile), []byte(text), 0o644))
}
