// SPDX-License-Identifier: Apache-2.0

// Package privilege holds the scenarios of privileges (G).
package privilege

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// zeroCaps is an empty set as /proc shows it.
const zeroCaps = "0000000000000000"

// initCaps are CHOWN, KILL, SETGID and SETUID.
const initCaps = "00000000000000e1"

// threads returns the status files of all threads of a process of the host.
func threads(t *testing.T, hostPID int) (all []map[string]string) {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", hostPID))
	if err != nil || len(paths) == 0 {
		t.Fatalf("cannot list the threads of %d: %v", hostPID, err)
	}
	for _, path := range paths {
		fields, err := harness.StatusFields(path)
		if os.IsNotExist(err) { // it has ended
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fields)
	}
	return all
}

// expect compares fields of every thread with want.
func expect(t *testing.T, who string, hostPID int, want map[string]string) {
	t.Helper()
	for _, fields := range threads(t, hostPID) {
		for name, value := range want {
			if got := fields[name]; got != value {
				t.Errorf("%s, thread %s: %s is %q, want %q", who, fields["Pid"], name, got, value)
			}
		}
	}
}
