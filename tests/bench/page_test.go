// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// example is a page with one goal that is met and one that is not.
func example() page {
	p := page{Machine: "A machine.", Noise: "It was quiet."}
	p.report.require("boot", "ms", 2, 1, absent)
	t := &table{title: "Boot", about: "It boots.", head: []string{"init", "ms"}, chart: &chart{file: "boot", title: "How long"}}
	t.add("tini", "1")
	p.report.add(t)
	return p
}

func TestPage(t *testing.T) {
	good := example()
	text, err := good.render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nA machine.\n", "\nIt was quiet.\n", "### Boot\n\nIt boots.\n\n| init ", "\n![How long](benchmarks/boot.svg)\n", "No goal is missed."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	bad := example()
	bad.report.require("restart", "ms", 2, 3, absent)
	if text, err = bad.render(); err != nil || !strings.Contains(text, "\n- restart: 3 ms, and the goal is 2 ms\n") || strings.Contains(text, "No goal") {
		t.Errorf("%v:\n%s", err, text)
	}
	if strings.Contains(text, "\n\n\n") {
		t.Error("two empty lines")
	}
}

// TestWritePage checks that a former run's charts do not stay.
func TestWritePage(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, chartsDir, "old.svg")
	if err := os.Mkdir(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writePage(dir, example()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old chart is still there")
	}
	for _, name := range []string{pageFile, chartsDir + "/boot.svg"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestPageIsWritten checks that the page in docs is what this program writes: its
// text is the template's, and its charts exist.
func TestPageIsWritten(t *testing.T) {
	data, err := os.ReadFile("../../docs/" + pageFile)
	if err != nil {
		t.Fatal(err)
	}
	document := string(data)
	for line := range strings.Lines(pageText) {
		if !strings.Contains(line, "{{") && !strings.Contains(document, line) {
			t.Errorf("docs/%s does not have: %s", pageFile, line)
		}
	}
	charts := regexp.MustCompile(`\]\((`+chartsDir+`/[^)]+\.svg)\)`).FindAllStringSubmatch(document, -1)
	if len(charts) == 0 {
		t.Error("no charts")
	}
	for _, m := range charts {
		svg, err := os.ReadFile("../../docs/" + m[1])
		if err != nil {
			t.Fatal(err)
		}
		elements(t, string(svg))
	}
}
