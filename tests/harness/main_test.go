// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMainFlags(t *testing.T) {
	sources := fstest.MapFS{
		"a_test.go":       {Data: []byte("package a\n\nfunc TestOne(t *testing.T) {}\n\nfunc TestTwo(t *testing.T) {\n")},
		"b_test.go":       {Data: []byte("package a\n// func TestComment(t *testing.T)\nfunc helper(t *testing.T) {}\nfunc BenchmarkThree(b *testing.B) {}\n")},
		"c.go":            {Data: []byte("package a\nfunc TestProduct(t *testing.T) {}\n")},
		"below/d_test.go": {Data: []byte("package below\nfunc TestBelow(t *testing.T) {}\n")},
	}
	all := []string{"TestOne", "TestTwo"}
	for name, c := range map[string]struct {
		o        MainOptions
		topology string
		want     map[string]string
		fails    string
	}{
		"root-runs-all":         {MainOptions{4, all}, "", map[string]string{"test.parallel": "4"}, ""},
		"root-and-no-number":    {MainOptions{0, all}, "", map[string]string{}, ""},
		"non-root-runs-these":   {MainOptions{4, all}, "non-root", map[string]string{"test.parallel": "4", "test.run": "^(TestOne|TestTwo)$"}, ""},
		"managed-runs-these":    {MainOptions{0, all[1:]}, "managed", map[string]string{"test.run": "^(TestTwo)$"}, ""},
		"unknown-topology":      {MainOptions{4, all}, "nonroot", nil, "GATEWAY_TOPOLOGY=nonroot"},
		"no-such-test":          {MainOptions{4, append(all, "TestGone", "TestLost")}, "managed", nil, "TestGone, TestLost"},
		"no-such-test-as-root":  {MainOptions{4, []string{"TestGone"}}, "", nil, "TestGone"},
		"part-of-a-name":        {MainOptions{4, []string{"TestO"}}, "", nil, "TestO"},
		"in-a-comment":          {MainOptions{4, []string{"TestComment"}}, "", nil, "TestComment"},
		"no-test":               {MainOptions{4, []string{"helper"}}, "", nil, "helper"},
		"a-benchmark":           {MainOptions{4, []string{"BenchmarkThree"}}, "", nil, "BenchmarkThree"},
		"not-in-a-test-file":    {MainOptions{4, []string{"TestProduct"}}, "", nil, "TestProduct"},
		"of-another-package":    {MainOptions{4, []string{"TestBelow"}}, "", nil, "TestBelow"},
		"none-for-the-topology": {MainOptions{4, nil}, "managed", nil, "no test"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := flags(c.o, c.topology, sources)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want one line with %q", err, c.fails)
				}
				return
			}
			if err != nil || !maps.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

// TestPattern checks that the pattern excludes tests whose names only begin or end
// so.
func TestPattern(t *testing.T) {
	re := regexp.MustCompile(pattern([]string{"TestRestart", "TestStop"}))
	names := []string{"TestRestart", "TestRestartTwice", "MyTestStop", "TestStop", "TestStart"}
	names = slices.DeleteFunc(names, func(name string) bool { return !re.MatchString(name) })
	if want := []string{"TestRestart", "TestStop"}; !slices.Equal(names, want) {
		t.Errorf("it takes %v, want %v", names, want)
	}
}
