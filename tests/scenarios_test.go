// SPDX-License-Identifier: Apache-2.0

// Package tests compares tests/scenarios.md with the tests.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
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
	quoted   = regexp.MustCompile(`"(Test\w+)"`)
	cited    = regexp.MustCompile(`\bTest[A-Z]\w*`)
	literal  = regexp.MustCompile("\"(?:[^\"\\\\\n]|\\\\.)*\"|`[^`]*`")
	lead     = regexp.MustCompile(`^(?:Scenario ([A-HJ-Z]\d\d)|Invariant (I\d\d?))[.,] `)
	idName   = regexp.MustCompile(`^Test(Scenario|Invariant)?[A-Z]{1,2}[0-9]+`)
	anyRow   = regexp.MustCompile(`^\| [A-Z]\d\d? `)
	tableRow = regexp.MustCompile(`^\| ([A-Z]\d\d?) \| ([^|]+\.) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$`)
)

// test is a test function, and the scenario or invariant that its doc comment
// begins with.
type test struct{ name, dir, id string }

// inTree returns all test functions of the tree.
func inTree(t *testing.T) (all []test) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !cited.MatchString(f.Name.Name) {
				continue
			}
			found := test{name: f.Name.Name, dir: dir}
			if m := lead.FindStringSubmatch(f.Doc.Text()); m != nil {
				found.id = m[1] + m[2]
			}
			all = append(all, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// set returns the words, each once, in their order.
func set(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// code returns the words of a column between backquotes.
func code(column string) []string { return strings.Fields(strings.ReplaceAll(column, "`", "")) }

// TestScenariosTableIsCurrent checks that each scenario has its tests, and that
// each test of a scenario is listed. A reader of the table would not find an
// unlisted test.
func TestScenariosTableIsCurrent(t *testing.T) {
	data, err := os.ReadFile("scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	tree, listed := inTree(t), map[string]bool{}
	for line := range strings.Lines(string(data)) {
		m := tableRow.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			if anyRow.MatchString(line) {
				t.Errorf("not a whole row, with a sentence and a full stop: %s", line)
			}
			continue
		}
		id, tests, dirs := m[1], code(m[3]), code(m[4])
		listed[id] = true
		var names, places []string
		for _, f := range tree {
			if f.id == id {
				names, places = append(names, f.name), append(places, f.dir)
			}
		}
		if len(tests) != 0 && tests[0] == "not" {
			if names != nil {
				t.Errorf("%s is said to be open and has %v", id, names)
			}
			continue
		}
		if len(tests) == 0 {
			t.Errorf("%s has no test", id)
		}
		for _, name := range tests {
			checkNamed(t, tree, id, name, dirs)
		}
		if names = set(names); !slices.Equal(names, set(tests)) {
			t.Errorf("%s: the table says %v, the tree has %v", id, tests, names)
		}
		if places = set(places); !slices.Equal(places, set(dirs)) {
			t.Errorf("%s: the table says %v, its tests are in %v", id, dirs, places)
		}
	}
	for _, f := range tree {
		if f.id != "" && !listed[f.id] {
			t.Errorf("%s in %s is a test of %s, which has no line in the table", f.name, f.dir, f.id)
		}
	}
	if len(listed) < 50 {
		t.Errorf("the table has only %d lines", len(listed))
	}
}

// checkNamed fails the test unless there is a test of that name in one of the
// directories, with the id in its doc comment.
func checkNamed(t *testing.T, tree []test, id, name string, dirs []string) {
	t.Helper()
	there := false
	for _, f := range tree {
		if f.name != name || !slices.Contains(dirs, f.dir) {
			continue
		}
		if there = true; f.id != id {
			t.Errorf("the doc comment of %s in %s does not begin with %s", name, f.dir, id)
		}
	}
	if !there {
		t.Errorf("%s: no %s in %v", id, name, dirs)
	}
}

// TestNamesSayTheBehavior checks that no test is named after an id. The doc comment
// has the id.
func TestNamesSayTheBehavior(t *testing.T) {
	for _, f := range inTree(t) {
		if idName.MatchString(f.name) {
			t.Errorf("%s in %s is named after an id", f.name, f.dir)
		}
	}
}

// TestNamedTestsExist checks that each test named by a page or a pattern of the
// Makefile exists. A pattern without a test passes.
func TestNamedTestsExist(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tree := inTree(t)
	// Tests name others in strings: in patterns for go test -run, and in lists of topologies.
	for _, dir := range []string{"ns/*", "e2e/*"} {
		files, err := filepath.Glob(dir + "/*_test.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", dir, err)
		}
		pages = append(pages, files...)
	}
	for _, page := range append(pages, "scenarios.md", "../Makefile", "../CONTRIBUTING.md") {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if strings.HasSuffix(page, ".go") {
			text = strings.Join(literal.FindAllString(text, -1), " ")
		}
		for _, name := range set(cited.FindAllString(text, -1)) {
			if !slices.ContainsFunc(tree, func(f test) bool { return f.name == name }) {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
	}
}

// TestTopologiesAreCurrent checks that the line of the topologies names the
// scenarios that have a test there.
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
	tree := inTree(t)
	var named []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dir := "tests/" + filepath.ToSlash(filepath.Dir(file))
		for _, o := range options.FindAllSubmatch(text, -1) {
			for _, m := range quoted.FindAllSubmatch(o[1], -1) {
				i := slices.IndexFunc(tree, func(f test) bool { return f.name == string(m[1]) && f.dir == dir })
				if i < 0 {
					t.Errorf("%s: no %s", file, m[1])
				} else if tree[i].id != "" {
					named = append(named, tree[i].id)
				}
			}
		}
	}
	if named = set(named); !slices.Equal(listed, named) {
		t.Errorf("the line says %v, the tests are %v", listed, named)
	}
}
