// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"crypto/rand"
	"strings"
	"testing"
)

// TestLogsAreWhole checks that a log has all earlier output, and none of our marks.
func TestLogsAreWhole(t *testing.T) {
	c := Start(t, Options{Args: []string{"--no-gateway"}, Command: []string{"demotools", "sleep", "600"}})
	for range 20 {
		text := strings.Repeat(rand.Text(), 40) + "\n"
		for _, fd := range []string{"1", "2"} {
			if !writeNow(c.HostPath("/proc/1/fd/"+fd), text) {
				t.Fatal("cannot write to the container's log")
			}
		}
		if log := c.Logs(); strings.Count(log, text) != 2 || strings.Contains(log, "log mark") {
			t.Fatalf("%d of 2 lines, or a mark of ours:\n%s", strings.Count(log, text), log)
		}
	}
}
