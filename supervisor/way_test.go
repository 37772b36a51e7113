// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestWayOfOneRestart checks that docs/design.md names each file of the way once, and
// that the functions it names are in that file.
func TestWayOfOneRestart(t *testing.T) {
	page, err := os.ReadFile("../docs/design.md")
	check(t, err)
	_, way, _ := strings.Cut(string(page), "### The way of one restart")
	way, _, _ = strings.Cut(way, "\n### ")
	steps := regexp.MustCompile("(?m)^[0-9]+\\. `([a-z_/]+\\.go)`: (.*)$").FindAllStringSubmatch(way, -1)
	seen := map[string]bool{}
	for _, step := range steps {
		file, text := step[1], step[2]
		if seen[file] {
			t.Errorf("the way returns to %s", file)
		}
		seen[file] = true
		code, err := os.ReadFile(file)
		check(t, err)
		for _, name := range regexp.MustCompile("`([a-zA-Z]+)`").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(code), name[1]) {
				t.Errorf("%s has no %s", file, name[1])
			}
		}
	}
	if len(steps) < 8 {
		t.Errorf("the way has %d files", len(steps))
	}
}
