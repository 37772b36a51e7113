// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the list of keys into the manual")

// The list of keys in the manual is between these lines.
const (
	beginKeys = "<!-- keys -->\n"
	endKeys   = "<!-- end of keys -->\n"
)

// below returns the table of an object's keys, or of those of each object in a list.
// It returns nil for a value.
func below(f field) table {
	switch f := f.(type) {
	case table:
		return f
	case *authCheck:
		return new(AuthCheck).table()
	case *publish:
		return new(Publish).table()
	case *prepares:
		return new(Prepare).table()
	case *sidecars:
		return new(Sidecar).table()
	}
	return nil
}

// manualRows returns the rows of the manual for a table.
func manualRows(t table, prefix string) string {
	var b strings.Builder
	for _, k := range t {
		kind, accepted := k.manual()
		key, def := prefix+k.name, k.def
		if inner := below(k.field); inner != nil {
			if strings.HasPrefix(kind, "list") {
				key += "[]"
			}
			b.WriteString(manualRows(inner, key+"."))
			continue
		}
		if other, ok := strings.CutPrefix(def, "as "); ok {
			def = "as `" + other + "`"
		} else if json.Valid([]byte(def)) {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, kind, def, accepted)
	}
	return b.String()
}

// TestManualHasTheTable compares the list, or writes it with -update. It must run
// before the tests in doc_test.go, so the name of this file comes first.
func TestManualHasTheTable(t *testing.T) {
	text, err := os.ReadFile(manual)
	must(t, err)
	before, rest, ok := strings.Cut(string(text), beginKeys)
	have, after, ok2 := strings.Cut(rest, endKeys)
	if !ok || !ok2 {
		t.Fatalf("%s does not have %q and %q", manual, beginKeys, endKeys)
	}
	want := "\n| key | type | default | accepted |\n|---|---|---|---|\n" + manualRows(new(Config).table(), "") + "\n"
	switch {
	case have == want:
	case *update:
		must(t, os.WriteFile(manual, []byte(before+beginKeys+want+endKeys+after), 0o644))
	default:
		t.Errorf("%s differs from the table (go test ./internal/config -update writes it):%s", manual, difference(have, want))
	}
}

func difference(have, want string) string {
	var b strings.Builder
	haveLines, wantLines := strings.Split(have, "\n"), strings.Split(want, "\n")
	for _, line := range haveLines {
		if !slices.Contains(wantLines, line) {
			b.WriteString("\n- " + line)
		}
	}
	for _, line := range wantLines {
		if !slices.Contains(haveLines, line) {
			b.WriteString("\n+ " + line)
		}
	}
	return b.String()
}

// TestDefaults checks that each default is JSON. Other text would set nothing.
func TestDefaults(t *testing.T) {
	words := []string{needed, none}
	var check func(t table)
	check = func(in table) {
		for _, k := range in {
			if !json.Valid([]byte(k.def)) && !slices.Contains(words, k.def) && !strings.HasPrefix(k.def, "as ") {
				t.Errorf("%s: the default %s is no JSON", k.name, k.def)
			}
			check(below(k.field))
		}
	}
	check(new(Config).table())
}
