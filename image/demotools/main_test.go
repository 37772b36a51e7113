// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"applet-by-name":     {[]string{"/bin/exit", "7"}, 7},
		"applet-by-argument": {[]string{"demotools", "exit", "8"}, 8},
		"unknown":            {[]string{"demotools", "nosuch"}, 2},
		"none":               {[]string{"demotools"}, 2},
		"too-few-arguments":  {[]string{"demotools", "exit"}, 2},
		"bad-number":         {[]string{"demotools", "exit", "-1"}, 1},
		"bad-mode":           {[]string{"demotools", "mkdir", t.TempDir() + "/d", "9"}, 1},
		"no-such-file":       {[]string{"demotools", "cat", t.TempDir() + "/missing"}, 1},
		"no-signal":          {[]string{"demotools", "sigsend", "0", "NOSUCH"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			if code := run(c.args, &stderr); code != c.code {
				t.Errorf("got %d, want %d (%s)", code, c.code, &stderr)
			}
		})
	}
}
