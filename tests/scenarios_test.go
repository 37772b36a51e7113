// SPDX-License-Identifier: Apache-2.0

// Package tests holds tests/scenarios.md against the tests that there are.
package tests

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// anywhere is the line of the scenarios that run in each topology.
const anywhere = "In all three topologies: "

var (
	options  = regexp.MustCompile(`(?s)Topologies: \[\]string\{(.*?)\}`)
	scenario = regexp.MustCompile(`"TestScenario([A-Z]\d\d)\w*"`)
	testFunc = regexp.MustCompile(`^func (Test(?:Scenario([A-Z]\d\d)|Invariant(I\d))\w*)\(t \*testing\.T\)`)
	anyRow   = regexp.MustCompile(`^\| [A-Z]\d\d? `)
	tableRow = regexp.MustCompile(`^\| ([A-Z]\d\d?) \| ([^|]+\.) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$`)
)

// inTree maps ID to "Test in dir" of all scenario and invariant tests.
func inTree(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if m := testFunc.FindStringSubmatch(lines.Text()); m != nil {
				dir := filepath.ToSlash(filepath.Dir(path))
				found[m[2]+m[3]] = append(found[m[2]+m[3]], m[1]+" in "+strings.TrimPrefix(dir, "../"))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A scenario is covered when its test is there, and a test that nobody lists is
// not found by who looks for it.
func TestScenariosTableIsCurrent(t *testing.T) {
	data, err := os.ReadFile("scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	found, listed := inTree(t), map[string]bool{}
	for _, line := range strings.Split(string(data), "\n") {
		m := tableRow.FindStringSubmatch(line)
		if m == nil {
			if anyRow.MatchString(line) {
				t.Errorf("not a whole row, with a sentence and a full stop: %s", line)
			}
			continue
		}
		id, tests, dirs := m[1], strings.Fields(strings.ReplaceAll(m[3], "`", "")), strings.Fields(strings.ReplaceAll(m[4], "`", ""))
		if len(tests) != 0 && strings.HasPrefix(tests[0], "not") {
			if found[id] != nil {
				t.Errorf("%s is said to be open and has %v", id, found[id])
			}
			listed[id] = true
			continue
		}
		listed[id] = true
		if id[0] == 'I' && !strings.HasPrefix(tests[0], "TestInvariant") {
			checkNamed(t, id, tests, dirs)
			continue
		}
		var want []string
		for _, f := range found[id] {
			name, dir, _ := strings.Cut(f, " in ")
			if !slices.Contains(dirs, dir) {
				t.Errorf("%s: %s is in %s, which the table does not name", id, name, dir)
			}
			if !slices.Contains(want, name) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		slices.Sort(tests)
		if !slices.Equal(want, tests) {
			t.Errorf("%s: the table says %v, the tree has %v", id, tests, want)
		}
	}
	for id := range found {
		if !listed[id] {
			t.Errorf("%s has tests and no line in the table", id)
		}
	}
	if len(listed) < 50 {
		t.Errorf("the table has only %d lines", len(listed))
	}
}

// The line of the topologies names the scenarios that have a test there.
func TestTopologiesAreCurrent(t *testing.T) {
	data, err := os.ReadFile("scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(data), "\n"+anywhere)
	line, _, _ = strings.Cut(line, ".")
	listed := strings.Split(line, ", ")
	files, err := filepath.Glob("e2e/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range options.FindAllSubmatch(text, -1) {
			for _, m := range scenario.FindAllSubmatch(o[1], -1) {
				named = append(named, string(m[1]))
			}
		}
	}
	slices.Sort(named)
	if named = slices.Compact(named); !slices.Equal(listed, named) {
		t.Errorf("the line says %v, the tests are %v", listed, named)
	}
}

// checkNamed: an invariant may be kept by tests with names of their own.
func checkNamed(t *testing.T, id string, tests, dirs []string) {
	t.Helper()
	for _, name := range tests {
		ok := false
		for _, dir := range dirs {
			files, _ := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
			for _, f := range files {
				data, err := os.ReadFile(f)
				ok = ok || err == nil && strings.Contains(string(data), "\nfunc "+name+"(")
			}
		}
		if !ok {
			t.Errorf("%s: no %s in %v", id, name, dirs)
		}
	}
}
