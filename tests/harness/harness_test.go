// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestMerge(t *testing.T) {
	for name, c := range map[string]struct{ base, over, want string }{
		"replaces-scalar":   {`{"a":1}`, `{"a":2}`, `{"a":2}`},
		"merges-objects":    {`{"a":{"b":1,"c":2}}`, `{"a":{"b":3}}`, `{"a":{"b":3,"c":2}}`},
		"replaces-arrays":   {`{"a":[1,2]}`, `{"a":[3]}`, `{"a":[3]}`},
		"null-deletes":      {`{"a":{"b":1,"c":2}}`, `{"a":{"b":null}}`, `{"a":{"c":2}}`},
		"object-for-scalar": {`{"a":1}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var base, over, want map[string]any
			for v, text := range map[*map[string]any]string{&base: c.base, &over: c.over, &want: c.want} {
				if err := json.Unmarshal([]byte(text), v); err != nil {
					t.Fatal(err)
				}
			}
			if got := merge(base, over); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestFlagsAreTheReadmes checks that README, pages, tests and demo have one
// command.
func TestFlagsAreTheReadmes(t *testing.T) {
	want := strings.Join(ReadmeFlags(), " ")
	for _, name := range []string{"README.md", "docs/tutorial.md", "docs/install.md", "docs/hardening.md", "docs/openclaw.md", "image/demo-lib.sh"} {
		data, err := os.ReadFile(filepath.Join(Root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(strings.ReplaceAll(string(data), "\\\n", " ")), " ")
		if !strings.Contains(text, want) {
			t.Errorf("%s has not these flags: %s", name, want)
		}
	}
}
