// SPDX-License-Identifier: Apache-2.0

package reason

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// TestTable checks that each word of the closed set has its exit code, sentence and
// next step. Scripts rely on the codes, so they are here once more.
func TestTable(t *testing.T) {
	want := map[Reason]int{
		LaunchFailed: 1, Exited: 1, HealthTimeout: 4, ListenerMissing: 4,
		ListenerForeign: 4, IdentityChanged: 1, AuthMismatch: 4, Unproven: 4,
		NotRunning: 4, StopTimeout: 1, Superseded: 1, PrepareFailed: 1,
		TokenFailed: 1, TokenChanged: 1, UnsafeConfig: 3, NoRoom: 3, NoReload: 3, Replayed: 3,
		Malformed: 3, UnknownAction: 3, QueueFull: 1, ShuttingDown: 1,
		NotPermitted: 3, Internal: 1,
	}
	seen := map[Reason]bool{}
	for _, r := range List() {
		code, ok := want[r]
		if got := r.ExitCode(); !ok {
			t.Errorf("%s: add its exit code, which is %d in table.go, to want in this test", r, got)
		} else if got != code {
			t.Errorf("%s: exit code %d, want %d", r, got, code)
		}
		if !r.Valid() || seen[r] {
			t.Errorf("%s: valid %v, a second time %v", r, r.Valid(), seen[r])
		}
		if r.Text() == "" || r.Next() == "" || r.Text() == unknown.text || r.Next() == unknown.next {
			t.Errorf("%s: %q, %q", r, r.Text(), r.Next())
		}
		seen[r] = true
	}
	for r := range want {
		if !seen[r] {
			t.Errorf("%s has no row in table.go", r)
		}
	}
}

// TestConstants checks that each constant has a row. Readers would refuse it without.
func TestConstants(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	words := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != "Reason" {
			return true
		}
		for _, value := range spec.Values {
			words++
			word, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil || !Reason(word).Valid() {
				t.Errorf("%q has no row (%v)", word, err)
			}
		}
		return true
	})
	if words != len(table) {
		t.Errorf("%d constants, %d rows", words, len(table))
	}
}

// TestUnknown checks that a word outside the closed set is a failure with advice.
func TestUnknown(t *testing.T) {
	for _, r := range []Reason{"", "no-such-reason", "Exited", "exited "} {
		if r.Valid() || r.ExitCode() != ExitFailed || r.Text() == "" || r.Next() == "" {
			t.Errorf("%q: valid %v, exit code %d, %q, %q", r, r.Valid(), r.ExitCode(), r.Text(), r.Next())
		}
	}
}
