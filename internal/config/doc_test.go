// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// manual is the page that the tests below compare with the code.
const manual = "../../man/gateway-init.json.5.md"

// row is one key in the manual: | `key` | type | default | accepted |
type row struct{ key, kind, def, accepted string }

func rows(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(manual)
	must(t, err)
	var out []row
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$").FindAllStringSubmatch(string(text), -1) {
		out = append(out, row{m[1], m[2], m[3], m[4]})
	}
	return out
}

// wrap returns a document with only value at key. name[] is in a list.
func wrap(key, value string) []byte {
	names := strings.Split(key, ".")
	for i := len(names) - 1; i >= 0; i-- {
		if name, list := strings.CutSuffix(names[i], "[]"); list {
			value = fmt.Sprintf("{%q:[%s]}", name, value)
		} else {
			value = fmt.Sprintf("{%q:%s}", names[i], value)
		}
	}
	return []byte(value)
}

func problem(key, value string) string {
	_, err := Parse(wrap(key, value), "c")
	return fmt.Sprint(err)
}

// words returns the strings in keys.go, which could be keys.
func words(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "keys.go", nil, 0)
	must(t, err)
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			word, err := strconv.Unquote(l.Value)
			must(t, err)
			out = append(out, word)
		}
		return true
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// keys returns the keys that the parser takes, and does not refuse as unknown. A key
// that refuses an unknown key inside holds an object of keys.
func keys(words []string, prefix string) (out []string) {
	const stranger = `{"no_such_key":0}`
	for _, word := range words {
		key := prefix + word
		if strings.Contains(problem(key, "null"), "unknown key") {
			continue
		}
		switch {
		case strings.Contains(problem(key, stranger), "unknown key"):
			out = append(out, keys(words, key+".")...)
		case strings.Contains(problem(key, "["+stranger+"]"), "unknown key"):
			out = append(out, keys(words, key+"[].")...)
		default:
			out = append(out, key)
		}
	}
	return out
}

// TestManualHasEveryKey checks that no key is missing on either side. Users guess at
// a missing key, and a key that the parser does not have stops a container.
func TestManualHasEveryKey(t *testing.T) {
	known, documented := keys(words(t), ""), []string{}
	for _, r := range rows(t) {
		documented = append(documented, r.key)
	}
	slices.Sort(known)
	if len(known) < 40 {
		t.Fatalf("found only %d keys: %q", len(known), known)
	}
	for _, key := range known {
		if !slices.Contains(documented, key) {
			t.Errorf("the manual does not have %s", key)
		}
	}
	for i, key := range documented {
		if !slices.Contains(known, key) {
			t.Errorf("the manual has %s, the parser has not", key)
		}
		if slices.Contains(documented[:i], key) {
			t.Errorf("the manual has %s twice", key)
		}
	}
}

// required is a document with only those keys that have no default.
const required = `{"gateway":{"command":["/b"],"auth_check":{"path":"/p","with_token":[200],"without_token":[401]}},
	"publish":{"port":1},"prepare":[{"path":"/d"}],"sidecars":[{"name":"s","command":["/b"]}]}`

// flatten lists the leaves of an object by key. The members of a list of objects are
// under key[].
func flatten(prefix string, object map[string]any, out map[string]any) {
	for name, value := range object {
		items, _ := value.([]any)
		below, isObject := value.(map[string]any)
		switch {
		case isObject && len(below) > 0:
			flatten(prefix+name+".", below, out)
		case len(items) == 1 && fmt.Sprintf("%T", items[0]) == "map[string]interface {}":
			flatten(prefix+name+"[].", items[0].(map[string]any), out)
		default:
			out[prefix+name] = value
		}
	}
}

func leaves(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	must(t, json.Unmarshal(text, &object))
	out := map[string]any{}
	flatten("", object, out)
	return out
}

// TestManualHasTheDefaults checks defaults, because a wrong one can be an outage.
func TestManualHasTheDefaults(t *testing.T) {
	c, err := Parse([]byte(required), "c")
	must(t, err)
	var text bytes.Buffer
	must(t, c.WriteEffective(&text))
	given, effective := leaves(t, []byte(required)), leaves(t, text.Bytes())
	for _, r := range rows(t) {
		value, set := effective[r.key]
		_, need := given[r.key]
		if need != (r.def == "required") {
			t.Errorf("%s: the manual says %q, required is %v", r.key, r.def, need)
		}
		switch code := strings.Trim(r.def, "`"); {
		case need:
		case r.def == "none":
			if set && fmt.Sprint(value) != "" {
				t.Errorf("%s: the manual says none, it is %v", r.key, value)
			}
		case strings.HasPrefix(code, "as "): // of another key, compared by its value here
			if other, ok := effective[strings.Trim(code[3:], "`")]; !ok || fmt.Sprint(other) != fmt.Sprint(value) {
				t.Errorf("%s: the manual says %s, it is %v", r.key, r.def, value)
			}
		default:
			var want any
			if err := json.Unmarshal([]byte(code), &want); err != nil {
				t.Errorf("%s: default %s is no JSON: %v", r.key, r.def, err)
			} else if fmt.Sprint(want) != fmt.Sprint(value) {
				t.Errorf("%s: the manual says %s, it is %v", r.key, r.def, value)
			}
		}
	}
}

// TestManualHasTheRanges checks that a refusal names the same ranges.
func TestManualHasTheRanges(t *testing.T) {
	accepted := regexp.MustCompile(`\(accepted: (.*)\)$`)
	compared := 0
	for _, r := range rows(t) {
		for _, wrong := range []string{`"?"`, `["?"]`} {
			m := accepted.FindStringSubmatch(problem(r.key, wrong))
			if m == nil {
				continue
			}
			compared++
			if !strings.Contains(r.accepted, m[1]) {
				t.Errorf("%s: the manual says %q, a refusal says %q", r.key, r.accepted, m[1])
			}
		}
	}
	if compared < 20 {
		t.Errorf("only %d ranges were compared", compared)
	}
}

// TestManualExamplesAreAccepted checks the examples, because users copy them.
func TestManualExamplesAreAccepted(t *testing.T) {
	text, err := os.ReadFile(manual)
	must(t, err)
	examples := regexp.MustCompile(`(?m)^    \{.*\n(?:    .*\n)*`).FindAllString(string(text), -1)
	if len(examples) < 2 {
		t.Fatalf("found only %d examples", len(examples))
	}
	for _, example := range examples {
		if _, err := Parse([]byte(example), "example"); err != nil {
			t.Errorf("%v in\n%s", err, example)
		}
	}
}
