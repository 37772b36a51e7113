package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadCountsAndPrints(t *testing.T) {
	in := strings.Join([]string{
		`{"Action":"output","Package":"p","Test":"TestA","Output":"fine\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"why it failed\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestB"}`,
		`{"Action":"output","Package":"p","Test":"TestC","Output":"why it was skipped\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestC"}`,
		`{"Action":"output","Package":"p","Output":"FAIL p 0.1s\n"}`,
		`{"Action":"fail","Package":"p"}`,
		`p.go:1: a build error`,
	}, "\n")
	var out strings.Builder
	r, err := read(strings.NewReader(in), &out)
	if err != nil {
		t.Fatal(err)
	}
	if want := (result{1, 1, 1}); r != want {
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
	for _, r := range []result{{3, 0, 0}, {4, 1, 2}} {
		if err := note(tally, "part", r); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs strings.Builder
	if code := total(tally, &out, &errs); code != 0 || out.String() != "7 passed, 1 failed, 2 skipped\n" {
		t.Errorf("got %d %q %q", code, &out, &errs)
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
