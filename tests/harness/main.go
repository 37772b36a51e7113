// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// MainOptions are the options of the tests of a package.
type MainOptions struct {
	// SideBySide is how many tests run in parallel, unless -parallel gives a
	// number. 0 leaves the default. It may exceed the number of processors, because
	// tests wait nearly all the time.
	SideBySide int
	// Topologies names the tests whose outcome the topology can change. They run in
	// each of them, and the others as root only. The package documentation has the
	// rule.
	Topologies []string
}

// Main is m.Run with these options. It fails, in one line, if GATEWAY_TOPOLOGY
// names no topology or if a name in Topologies is no test, because a pattern
// without a test would pass.
func Main(m *testing.M, o MainOptions) int {
	flag.Parse()
	set, err := flags(o, os.Getenv(TopologyVariable), os.DirFS("."))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Visit(func(f *flag.Flag) { delete(set, f.Name) }) // given flags stay
	for name, value := range set {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// flags returns the testing flags that o sets in a topology. sources has the files
// of the package.
func flags(o MainOptions, topology string, sources fs.FS) (map[string]string, error) {
	if !known(topology) {
		return nil, fmt.Errorf("%s=%s is no topology: use %s or %s, or unset it", TopologyVariable, topology, nonRoot, managed)
	}
	gone, err := missing(o.Topologies, sources)
	if err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		return nil, fmt.Errorf("cannot run tests in each topology: no func NAME(t *testing.T) for %s", strings.Join(gone, ", "))
	}
	set := map[string]string{}
	if o.SideBySide > 0 {
		set["test.parallel"] = strconv.Itoa(o.SideBySide)
	}
	if topology == direct {
		return set, nil
	}
	if len(o.Topologies) == 0 {
		return nil, fmt.Errorf("%s=%s: this package has no test for it", TopologyVariable, topology)
	}
	set["test.run"] = pattern(o.Topologies)
	return set, nil
}

// pattern returns the -run pattern of exactly these tests, with all their subtests.
func pattern(names []string) string { return "^(" + strings.Join(names, "|") + ")$" }

var testFunc = regexp.MustCompile(`(?m)^func (Test\w*)\(t \*testing\.T\)`)

// missing returns the names that no test file in the root of sources has.
func missing(names []string, sources fs.FS) ([]string, error) {
	files, err := fs.Glob(sources, "*_test.go")
	if err != nil {
		return nil, err
	}
	var tests []string
	for _, file := range files {
		data, err := fs.ReadFile(sources, file)
		if err != nil {
			return nil, err
		}
		for _, m := range testFunc.FindAllSubmatch(data, -1) {
			tests = append(tests, string(m[1]))
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(tests, name) }), nil
}
