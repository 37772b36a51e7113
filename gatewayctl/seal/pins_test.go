// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"slices"
	"strings"
	"testing"
)

var sum = strings.Repeat("0a", 32)

func TestParsePinsRefuses(t *testing.T) {
	entry := `{"path":"/a","sha256":"` + sum + `"}`
	for name, c := range map[string]struct{ in, want string }{
		"empty":          {"", "the text ends"},
		"array":          {"[]", "is an array, not an object"},
		"no-schema":      {`{"files":[]}`, "schema: is missing"},
		"schema-2":       {`{"schema":2,"files":[]}`, "schema: is not 1"},
		"no-files":       {`{"schema":1}`, "files: is missing"},
		"files-object":   {`{"schema":1,"files":{}}`, "files: is not an array"},
		"too-many":       {`{"schema":1,"files":[` + strings.Repeat("1,", maxPins) + `1]}`, "at most 64"},
		"unknown-key":    {`{"schema":1,"files":[],"file":[]}`, `"file": unknown key`},
		"entry-number":   {`{"schema":1,"files":[1]}`, "is a number, not an object"},
		"no-sum":         {`{"schema":1,"files":[{"path":"/a"}]}`, "sha256: is missing"},
		"short-sum":      {`{"schema":1,"files":[{"path":"/a","sha256":"0a"}]}`, "64 lower-case hex digits"},
		"upper-sum":      {`{"schema":1,"files":[` + strings.ReplaceAll(entry, "0a", "0A") + `]}`, "64 lower-case hex digits"},
		"relative":       {`{"schema":1,"files":[` + strings.Replace(entry, "/a", "a", 1) + `]}`, "absolute, clean path"},
		"dots":           {`{"schema":1,"files":[` + strings.Replace(entry, "/a", "/b/../a", 1) + `]}`, "absolute, clean path"},
		"twice":          {`{"schema":1,"files":[` + entry + "," + entry + `]}`, `"/a" is there twice`},
		"path-no-string": {`{"schema":1,"files":[` + strings.Replace(entry, `"/a"`, "1", 1) + `]}`, "absolute, clean path"},
	} {
		t.Run(name, func(t *testing.T) {
			if pins, err := ParsePins([]byte(c.in)); pins != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want %q", pins, err, c.want)
			}
		})
	}
}

func TestTooManyPins(t *testing.T) {
	if _, err := encodePins(make([]Pin, maxPins+1)); err == nil {
		t.Error("65 pins can be written, and not be read again")
	}
}

// FuzzPins checks that accepted pins are written as text that reads the same.
func FuzzPins(f *testing.F) {
	f.Add([]byte(`{"schema":1,"files":[{"path":"/b","sha256":"` + sum + `"},{"path":"/a\u0000","sha256":"` + sum + `"}]}`))
	f.Add([]byte(`{"schema":1,"files":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		pins, err := ParsePins(data)
		if err != nil {
			return
		}
		text, err := encodePins(slices.Clone(pins))
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePins(text)
		slices.SortFunc(pins, func(a, b Pin) int { return strings.Compare(a.Path, b.Path) })
		if err != nil || !slices.Equal(again, pins) {
			t.Fatalf("%v became %v, %v", pins, again, err)
		}
	})
}
