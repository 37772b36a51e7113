// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// kinds maps a heading of the index to the word in the first lines of its pages.
var kinds = map[string]string{
	"Tutorial": "Tutorial", "How-to guides": "How-to", "Reference": "Reference", "Explanation": "Explanation",
}

// indexed returns the pages of the index by path from the top of the tree, with
// the heading above each. It fails for a page that is listed twice.
func indexed(t *testing.T) map[string]string {
	t.Helper()
	entry := regexp.MustCompile(`^- \[[^\]]+\]\(([^)]+)\): \S.*\?$`)
	listed := map[string]string{}
	heading := ""
	for line := range strings.Lines(read(t, "docs/README.md")) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "## "); ok {
			if heading = name; kinds[heading] == "" {
				t.Errorf("docs/README.md has the heading %q", heading)
			}
		}
		if !strings.HasPrefix(line, "- ") {
			continue
		}
		m := entry.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("docs/README.md: not a link and the question that the page answers: %s", line)
			continue
		}
		page := filepath.Join("docs", m[1])
		if listed[page] != "" {
			t.Errorf("docs/README.md lists %s twice", page)
		}
		listed[page] = heading
	}
	return listed
}

// TestIndex checks that the index lists each page once, below its kind, and that
// each page says its kind in its first lines.
func TestIndex(t *testing.T) {
	var known []string
	for _, pattern := range []string{"docs/*.md", "man/*.md"} {
		pages, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("no pages in %s: %v", pattern, err)
		}
		for _, page := range pages {
			if page = strings.TrimPrefix(page, "../"); page != "docs/README.md" {
				known = append(known, page)
			}
		}
	}
	var listed []string
	for page, heading := range indexed(t) {
		listed = append(listed, page)
		if strings.HasPrefix(page, "man/") {
			if heading != "Reference" {
				t.Errorf("docs/README.md lists %s as %s", page, heading)
			}
			continue
		}
		want := "*" + kinds[heading] + " · [all pages](README.md)*"
		if lines := strings.SplitN(read(t, page), "\n", 4); len(lines) < 4 || lines[2] != want {
			t.Errorf("line 3 of %s is not: %s", page, want)
		}
	}
	same(t, "docs/README.md", listed, known)
}

// TestAnchors checks that a link to a part of a page leads to a heading.
func TestAnchors(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)#([^)]+)\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	punctuation := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for name, text := range files(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := name
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(name), m[1])
			}
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(read(t, target), -1) {
				plain := punctuation.ReplaceAllString(strings.ToLower(h[1]), "")
				anchors = append(anchors, strings.ReplaceAll(plain, " ", "-"))
			}
			if !slices.Contains(anchors, m[2]) {
				t.Errorf("%s: %s has no heading #%s", name, target, m[2])
			}
		}
	}
}

// TestNamesInContributing checks that each path that CONTRIBUTING.md names exists.
func TestNamesInContributing(t *testing.T) {
	path := regexp.MustCompile(`^[a-z][a-z0-9-]*(/[\w.-]+)+$`)
	seen := 0
	for _, word := range quoted(read(t, "CONTRIBUTING.md")) {
		if !path.MatchString(word) || strings.Contains(word, "VERB") {
			continue
		}
		seen++
		if _, err := os.Stat(filepath.Join("..", word)); err != nil {
			t.Errorf("CONTRIBUTING.md: %v", err)
		}
	}
	if seen < 10 {
		t.Errorf("found %d paths", seen)
	}
}

// TestTranscript checks that the README shows what make demo prints: each heading
// and each line of its tour is in the script.
func TestTranscript(t *testing.T) {
	script := read(t, "image/demo.sh")
	result := regexp.MustCompile(`: (permission denied|nothing|the gateway accepts the token)$`)
	heading := regexp.MustCompile(`^    ([a-z]+: .+)\n$`)
	seen := 0
	for line := range strings.Lines(read(t, "README.md")) {
		if m := heading.FindStringSubmatch(line); m != nil && !strings.Contains(script, `step "`+m[1]+`"`) {
			t.Errorf("README.md: image/demo.sh has no step %q", m[1])
		}
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "ok  ")
		if !ok || strings.HasPrefix(text, "restarted: pid ") {
			continue
		}
		seen++
		if !strings.Contains(script, result.ReplaceAllString(text, "")) {
			t.Errorf("README.md: image/demo.sh does not print %q", text)
		}
	}
	if seen == 0 {
		t.Error("README.md has no line of the demo")
	}
}
