// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// TestCheckPending checks that a queue of signals without room is refused, because Go's
// runtime would wait without end.
func TestCheckPending(t *testing.T) {
	if err := checkPending(nil, os.ErrNotExist); err == nil || err.Error() != "cannot read the limit of pending signals: file does not exist: the engine must mount procfs at /proc" {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"Name:\tx\nSigQ:\t0/63417\nSigPnd:\t0\n": "",
		"SigQ:\t0/32\n":                          "",
		"SigQ:\t0/0\n":                           "cannot run: 0 of 0 pending signals are in use, and 32 more are needed: run with --ulimit sigpending=32 or more",
		"SigQ:\t63417/63417\n":                   "cannot run: 63417 of 63417 pending signals are in use, and 32 more are needed: run with --ulimit sigpending=63449 or more",
		"Name:\tx\n":                             "", // gVisor has no such line
	} {
		got := ""
		if err := checkPending([]byte(text), nil); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

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
