// SPDX-License-Identifier: Apache-2.0

// Package words keeps the words that other programs read: log events and their
// fields, reasons, states, the members of JSON outputs, names under hardening,
// topologies, metrics and their labels, and configuration keys. words.txt lists them. A listed word stays, and
// go test -update adds new ones.
package words

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/metrics"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/relaycount"
)

var update = flag.Bool("update", false, "add new words to words.txt")

const (
	list = "words.txt"
	root = "../../"
)

// parse calls f with each product file of these folders, or with these files.
func parse(t *testing.T, f func(*ast.File), paths ...string) {
	t.Helper()
	for _, path := range paths {
		err := filepath.WalkDir(root+path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err == nil {
				f(file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// text returns the value of a string literal.
func text(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// constants calls f with each constant that is a string literal.
func constants(file *ast.File, f func(name, value string)) {
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i := range v.Values {
			if s, ok := text(v.Values[i]); ok {
				f(v.Names[i].Name, s)
			}
		}
		return true
	})
}

var (
	event     = regexp.MustCompile(`^ev[A-Z]`)
	check     = regexp.MustCompile(`^Check[A-Z]`)
	member    = regexp.MustCompile(`json:"([a-z0-9_]+)`)
	logMethod = regexp.MustCompile(`^(Str|Strs|Int|Int64|Uint32|Uint64|Bool|Stringer|Dur|Time)$`)
	keyRow    = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
)

// words returns all words of the code, each after its kind.
func words(t *testing.T) []string {
	t.Helper()
	all := map[string]bool{}
	add := func(kind, word string) {
		if word != "" {
			all[kind+" "+word] = true
		}
	}

	parse(t, func(file *ast.File) {
		named := map[string]string{} // a name under hardening that is used twice is a constant
		constants(file, func(name, value string) {
			named[name] = value
			if event.MatchString(name) {
				add("event", value)
			}
		})
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			word, isText := text(call.Args[0])
			if name, ok := call.Args[0].(*ast.Ident); ok && !isText && method != nil && method.Sel.Name == "add" {
				word, isText = named[name.Name], true
			}
			switch {
			case !ok || !isText:
			case logMethod.MatchString(method.Sel.Name):
				add("log-field", word)
				if value, ok := text(call.Args[1]); ok && word == "event" {
					add("event", value)
				}
			case method.Sel.Name == "add":
				add("hardening", word)
			}
			return true
		})
	}, "init", "supervisor")
	parse(t, func(file *ast.File) {
		constants(file, func(name, value string) {
			if event.MatchString(name) {
				add("event", value)
			}
		})
		ast.Inspect(file, func(n ast.Node) bool { // field{"pid", 1}
			if c, ok := n.(*ast.CompositeLit); ok && len(c.Elts) == 2 {
				if word, ok := text(c.Elts[0]); ok {
					add("log-field", word)
				}
			}
			return true
		})
	}, "relay/log.go", "relay/main.go")
	for r := range relaycount.Reasons {
		add("relay-reason", r.String())
	}
	for _, r := range reason.List() {
		add("reason", string(r))
	}
	parse(t, func(file *ast.File) {
		constants(file, func(name, value string) {
			if name != "Name" {
				add("state", value)
			}
		})
		ast.Inspect(file, func(n ast.Node) bool { // the lists of read.go
			if c, ok := n.(*ast.CompositeLit); ok {
				if a, ok := c.Type.(*ast.ArrayType); ok && a.Len == nil {
					for _, e := range c.Elts {
						if s, ok := text(e); ok {
							add("state", s)
						}
					}
				}
			}
			return true
		})
	}, "internal/status")
	parse(t, func(file *ast.File) {
		constants(file, func(name, value string) {
			switch {
			case slices.Contains([]string{"Direct", "NonRoot", "Managed", "None"}, name):
				add("topology", value)
			case check.MatchString(name):
				add("check", value)
			}
		})
	}, "gatewayctl")
	parse(t, func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.Field); ok && f.Tag != nil {
				if m := member.FindStringSubmatch(f.Tag.Value); m != nil {
					add("member", m[1])
				}
			}
			return true
		})
	}, "internal/status", "internal/procfs/id.go", "gatewayctl/render_json.go", "gatewayctl/verify/report.go", "gatewayctl/seal")
	for _, f := range metrics.Known() {
		add("metric", f.Name)
		for _, label := range f.Labels {
			add("metric-label", label)
		}
	}
	page, err := os.ReadFile(root + "man/gateway-init.json.5.md") // generated from the table of keys
	if err != nil {
		t.Fatal(err)
	}
	_, keys, _ := strings.Cut(string(page), "<!-- keys -->")
	keys, _, _ = strings.Cut(keys, "<!-- end of keys -->")
	for _, m := range keyRow.FindAllStringSubmatch(keys, -1) {
		add("key", m[1])
	}
	return slices.Sorted(maps.Keys(all))
}

func TestWordsAreOnlyAdded(t *testing.T) {
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
	have := words(t)
	for _, w := range listed {
		if !slices.Contains(have, w) {
			t.Errorf("%q is gone: programs read it, so it has to stay", w)
		}
	}
	for _, w := range have {
		if slices.Contains(listed, w) {
			continue
		}
		if listed = append(listed, w); !*update {
			t.Errorf("%q is new: check its spelling, then go test ./tests/words -update", w)
		}
	}
	if *update {
		slices.Sort(listed)
		if err := os.WriteFile(list, []byte(strings.Join(listed, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEachKindIsFound fails if a kind has few words, because its place in the code
// has moved.
func TestEachKindIsFound(t *testing.T) {
	count := map[string]int{}
	for _, w := range words(t) {
		kind, _, _ := strings.Cut(w, " ")
		count[kind]++
	}
	for kind, least := range map[string]int{"event": 30, "log-field": 20, "reason": 20, "state": 20, "topology": 4,
		"check": 7, "member": 60, "relay-reason": 9, "hardening": 10, "metric": 40, "metric-label": 5, "key": 50} {
		if count[kind] < least {
			t.Errorf("%d words of kind %s, want at least %d", count[kind], kind, least)
		}
	}
}
