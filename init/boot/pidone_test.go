// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"slices"
	"strings"
	"testing"
)

// TestCutOff checks that the words behind a script are taken only from a shell that runs
// nothing but our own command line.
func TestCutOff(t *testing.T) {
	own := []string{"gateway-init", "--config", "/c"}
	for name, c := range map[string]struct {
		shell []string
		want  []string
	}{
		"shell-form":      {[]string{"/bin/sh", "-c", "gateway-init --config /c", "agent", "a b"}, []string{"agent", "a b"}},
		"exec":            {[]string{"/bin/bash", "-c", "exec gateway-init  --config /c", "agent"}, []string{"agent"}},
		"no-words":        {[]string{"/bin/sh", "-c", "gateway-init --config /c"}, nil},
		"other-options":   {[]string{"/bin/sh", "-c", "gateway-init --config /d", "agent"}, nil},
		"passes-them-on":  {[]string{"/bin/sh", "-c", `gateway-init --config /c "$@"`, "sh", "agent"}, nil},
		"two-commands":    {[]string{"/bin/sh", "-c", "gateway-init --config /c; true", "agent"}, nil},
		"a-script":        {[]string{"/bin/sh", "/entry.sh", "agent", "x"}, nil},
		"another-program": {[]string{"/sbin/tini", "-c", "gateway-init --config /c", "agent"}, nil},
		"nothing":         {nil, nil},
	} {
		if got := cutOff(c.shell, own); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestDescribeFirst checks that each kind of PID 1 gets the advice that helps, and that no
// word of an unknown PID 1 is repeated.
func TestDescribeFirst(t *testing.T) {
	for line, want := range map[string]string{
		"/sbin/docker-init -- gateway-init": "docker-init: run without --init",
		"/bin/sh -c gateway-init":           "as a JSON list",
		"/bin/bash /entry.sh":               "with exec in the wrapper script",
		"/evil {\"level\":":                 "another program: ",
		"":                                  "another program: ",
	} {
		if got := describeFirst(strings.Fields(line)); !strings.Contains(got, want) || strings.Contains(got, "level") {
			t.Errorf("%q: %s", line, got)
		}
	}
}
