// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestReadCountsAndPrints(t *testing.T) {
	in := strings.Join([]string{
		`{"Action":"output","Package":"p","Test":"TestA","Output":"fine\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":2}`,
		`{"Action":"pass","Package":"p","Test":"TestB/part","Elapsed":3}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: why it failed\n"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"        and how\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestB","Elapsed":3.5}`,
		`{"Action":"output","Package":"p","Test":"TestC","Output":"why it was skipped\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestC"}`,
		`{"Action":"output","Package":"p","Output":"FAIL p 0.1s\n"}`,
		`{"Action":"fail","Package":"p","Elapsed":6}`,
		`p.go:1: a build error`,
	}, "\n")
	var out strings.Builder
	r, err := read(strings.NewReader(in), &out)
	if err != nil {
		t.Fatal(err)
	}
	want := part{Passed: 2, Failed: 1, Skipped: 1, Packages: []timing{{"p", 6}}, Tests: []timing{{"p TestB", 3.5}, {"p TestA", 2}},
		Failures: []failure{{"p TestB", []string{"    b_test.go:7: why it failed", "        and how"}}}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
	for _, want := range []string{"why it failed", "why it was skipped", "FAIL p", "a build error"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "fine") {
		t.Errorf("output of a test that passed:\n%s", &out)
	}
}

func TestTotal(t *testing.T) {
	tally := filepath.Join(t.TempDir(), "tally")
	first := part{Part: "unit", Passed: 3, Seconds: 1.5}
	for i := range shown + 5 {
		first.Packages = append(first.Packages, timing{fmt.Sprint("p", i), float64(i)})
	}
	first.Packages = slowest(first.Packages)
	for _, r := range []part{first, {Part: "e2e", Passed: 4, Failed: 1, Skipped: 2, Containers: 7, Tests: []timing{{"e TestA", 9}},
		Failures: []failure{{"e TestB", []string{"    b_test.go:7: why it failed"}}}}} {
		if err := note(tally, r); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs strings.Builder
	code := total(tally, &out, &errs)
	if code != 0 || !strings.HasSuffix(out.String(), "\ncontainers started: 7\n\nfailed: e TestB (e2e)\n        b_test.go:7: why it failed\n7 passed, 1 failed, 2 skipped\n") {
		t.Errorf("got %d %q %q", code, &out, &errs)
	}
	for text, want := range map[string]bool{"p14 (unit)": true, "p5 (unit)": true, "p4 (unit)": false, "e TestA (e2e)": true} {
		if strings.Contains(out.String(), text) != want {
			t.Errorf("%q in the table: want %v:\n%s", text, want, &out)
		}
	}
	for name, content := range map[string]string{"missing": "", "malformed": "unit three 0 0\n"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tally")
			if content != "" {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if code := total(path, &out, &errs); code != 1 {
				t.Errorf("got %d, want 1", code)
			}
		})
	}
}

// TestFirstSaid checks that the selection is short, whatever a test printed.
func TestFirstSaid(t *testing.T) {
	message := []string{"  a_test.go:1: " + strings.Repeat("x", 2*saidLength) + "\n"}
	for range 2 * saidLines {
		message = append(message, "more\n")
	}
	all := []string{"=== RUN TestA\n"}
	for range 2 * saidMessages {
		all = append(all, message...)
	}
	got := firstSaid(all)
	if len(got) != saidMessages*saidLines || len(got[0]) != saidLength || got[1] != "more" {
		t.Errorf("%d lines: %q", len(got), got)
	}
	for text, want := range map[string]int{
		"panic: oops\n": 1, "WARNING: DATA RACE\n": 1, "./p.go:1:2: undefined: x\n": 1, "--- FAIL: TestA (0.1s)\n": 0,
	} {
		if got := firstSaid([]string{text}); len(got) != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// TestCommand checks that a command's exit code is the part's, and that the tally
// has its time.
func TestCommand(t *testing.T) {
	tally := filepath.Join(t.TempDir(), "tally")
	t.Setenv("GOTEST_TALLY", tally)
	for command, want := range map[string]int{"true": 0, "false": 1, "no-such-command": 1} {
		var out, errs strings.Builder
		if code := run([]string{"-part", "check", "-command", command}, &out, &errs); code != want || (want != 0) != strings.Contains(errs.String(), "check: ") {
			t.Errorf("%s: got %d %q", command, code, &errs)
		}
	}
	data, err := os.ReadFile(tally)
	if err != nil || strings.Count(string(data), `{"part":"check"`) != 3 {
		t.Errorf("%v: %s", err, data)
	}
}
