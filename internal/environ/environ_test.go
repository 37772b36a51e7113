// SPDX-License-Identifier: Apache-2.0

package environ

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/users"
)

var gatewayUser = users.User{Name: "gateway", UID: 9001, GID: 9001, Home: "/var/lib/gateway", Shell: "/bin/false"}

// TestClean checks that a name has one entry, with its last value. Programs differ in
// which of two entries they read.
func TestClean(t *testing.T) {
	for name, c := range map[string]struct{ env, want []string }{
		"nothing":       {nil, nil},
		"order":         {[]string{"B=1", "A=2"}, []string{"B=1", "A=2"}},
		"twice":         {[]string{"A=1", "B=2", "A=3"}, []string{"A=3", "B=2"}},
		"empty-value":   {[]string{"A="}, []string{"A="}},
		"equals":        {[]string{"A=b=c"}, []string{"A=b=c"}},
		"no-assignment": {[]string{"A", "", "B=1"}, []string{"B=1"}},
		"no-name":       {[]string{"=1", "B=1"}, []string{"B=1"}},
		"prefix":        {[]string{"AB=1", "A=2"}, []string{"AB=1", "A=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Clean(c.env); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestCleanIsLinear checks an environment that no list search could go through for each
// of its names: it would take hours.
func TestCleanIsLinear(t *testing.T) {
	env := make([]string, 0, 1<<21)
	for i := range 1 << 20 {
		env = append(env, "NAME_"+strconv.Itoa(i)+"=a", "NAME_"+strconv.Itoa(i)+"=b")
	}
	if got := Inherited(gatewayUser, Clean(env), "TOKEN"); len(got) != 1<<20+5 || got[1<<20-1] != "NAME_1048575=b" {
		t.Errorf("got %d entries", len(got))
	}
}

// TestBuilt checks that the gateway's environment is made. Only named variables pass
// from the container's, and the token's variable never does.
func TestBuilt(t *testing.T) {
	container := Clean([]string{"PATH=/evil", "LD_PRELOAD=/evil.so", "TZ=UTC", "HOME=/root", "TOKEN=preset", "NODE_OPTIONS=-r evil"})
	base := []string{"PATH=" + DefaultPath, "HOME=/var/lib/gateway", "USER=gateway", "LOGNAME=gateway", "SHELL=/bin/false", "LANG=C.UTF-8"}
	for name, c := range map[string]struct{ env, pass, want []string }{
		"nothing":           {nil, nil, base},
		"env":               {[]string{"A=b=c"}, nil, append(slices.Clone(base), "A=b=c")},
		"env-overrides":     {[]string{"PATH=/opt/bin", "HOME=/srv"}, nil, append([]string{"PATH=/opt/bin", "HOME=/srv"}, base[2:]...)},
		"passed":            {nil, []string{"TZ"}, append(slices.Clone(base), "TZ=UTC")},
		"passed-not-there":  {nil, []string{"HTTPS_PROXY"}, base},
		"passed-over-env":   {[]string{"TZ=CET"}, []string{"TZ"}, append(slices.Clone(base), "TZ=UTC")},
		"token-from-env":    {[]string{"TOKEN=x"}, nil, base},
		"token-passed":      {nil, []string{"TOKEN"}, base},
		"token-on-all-ways": {[]string{"TOKEN=x", "A=1"}, []string{"TOKEN"}, append(slices.Clone(base), "A=1")},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(container)
			if got := Built(gatewayUser, c.env, c.pass, container, "TOKEN"); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if !slices.Equal(container, before) {
				t.Errorf("the container's environment was changed to %q", container)
			}
		})
	}
}

// TestInherited checks that the agent gets the container's environment with its own
// identity, and never a variable of the token's name, not even a preset one.
func TestInherited(t *testing.T) {
	agent := users.User{Name: "sandbox", Home: "/home/sandbox", Shell: "/bin/sh"}
	for name, c := range map[string]struct{ container, want []string }{
		"path-kept":    {[]string{"PATH=/opt", "A=1"}, []string{"PATH=/opt", "A=1"}},
		"path-added":   {[]string{"A=1"}, []string{"A=1", "PATH=" + DefaultPath}},
		"no-token":     {[]string{"TOKEN=preset", "PATH=/opt", "TOKENS=2"}, []string{"PATH=/opt", "TOKENS=2"}},
		"not-root's":   {[]string{"PATH=/opt", "HOME=/root", "USER=root"}, nil},
		"token-at-end": {[]string{"PATH=/opt", "TOKEN=a=b"}, []string{"PATH=/opt"}},
	} {
		t.Run(name, func(t *testing.T) {
			container := Clean(c.container)
			before := slices.Clone(container)
			got := Inherited(agent, container, "TOKEN")
			for _, kv := range append(c.want, "HOME=/home/sandbox", "USER=sandbox", "LOGNAME=sandbox", "SHELL=/bin/sh") {
				if n := count(got, strings.SplitN(kv, "=", 2)[0]); n != 1 || !slices.Contains(got, kv) {
					t.Errorf("%s stands %d times in %q", kv, n, got)
				}
			}
			if count(got, "TOKEN") != 0 {
				t.Errorf("the token's variable is in %q", got)
			}
			if !slices.Equal(container, before) {
				t.Errorf("the container's environment was changed to %q", container)
			}
		})
	}
}

func count(env []string, name string) (n int) {
	for _, kv := range env {
		if strings.HasPrefix(kv, name+"=") {
			n++
		}
	}
	return n
}
