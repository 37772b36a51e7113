// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"testing"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// TestCheckPids checks the lines that refuse a pids limit, with its figures.
func TestCheckPids(t *testing.T) {
	for name, c := range map[string]struct {
		p    sys.Pids
		want string
	}{
		"enough":  {sys.Pids{Max: 64, Current: 8}, ""},
		"too-low": {sys.Pids{Max: 63, Current: 8}, "cannot run with a pids limit of 63: run with --pids-limit 64 or more"},
		"used-up": {sys.Pids{Max: 512, Current: 500}, "cannot run: 500 of 512 pids are in use, and 32 more are needed: " +
			"end other processes of the cgroup, or run with a higher --pids-limit"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := checkPids(c.p); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
