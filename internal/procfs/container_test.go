// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestIsOutside checks which cgroups are another container's, as engines with cgroup v1 and
// v2, with and without a cgroup namespace, show them.
func TestIsOutside(t *testing.T) {
	v1 := func(path string) map[string]string { return map[string]string{"9": path, "4": path} }
	v2 := func(path string) map[string]string { return map[string]string{"0": path} }
	for name, c := range map[string]struct {
		ours, theirs map[string]string
		want         bool
	}{
		"same":                  {v2("/docker/a"), v2("/docker/a"), false},
		"below":                 {v2("/docker/a"), v2("/docker/a/b"), false},
		"beside":                {v2("/docker/a"), v2("/docker/b"), true},
		"beside-with-prefix":    {v2("/docker/a"), v2("/docker/ab"), true},
		"above":                 {v2("/docker/a"), v2("/docker"), true},
		"ends":                  {v2("/docker/a"), v2("/"), false},
		"namespace-same":        {v2("/"), v2("/"), false},
		"namespace-below":       {v2("/"), v2("/agent"), false},
		"namespace-beside":      {v2("/"), v2("/../b"), true},
		"namespace-above":       {v2("/"), v2("/.."), true},
		"namespace-odd-name":    {v2("/"), v2("/..b"), false},
		"v1-same":               {v1("/docker/a"), v1("/docker/a"), false},
		"v1-one-hierarchy":      {v1("/docker/a"), map[string]string{"9": "/docker/a", "4": "/docker/b"}, true},
		"other-hierarchies":     {v1("/docker/a"), v2("/x"), false},
		"nothing-is-known":      {nil, v2("/x"), false},
		"they-are-in-none":      {v2("/docker/a"), nil, false},
		"v1-namespace-outsider": {v1("/"), v1("/../b"), true},
	} {
		if got := IsOutside(c.ours, c.theirs); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestCgroups checks our own cgroups and those of a process that is gone.
func TestCgroups(t *testing.T) {
	own, err := Cgroups(os.Getpid())
	testenv.Must(t, err)
	parent, err := Cgroups(os.Getppid())
	testenv.Must(t, err)
	if len(own) == 0 || IsOutside(own, parent) {
		t.Errorf("we have %v, our parent %v", own, parent)
	}
	if _, err := Cgroups(1 << 30); !IsGone(err) {
		t.Errorf("a process that is not there: %v", err)
	}
}
