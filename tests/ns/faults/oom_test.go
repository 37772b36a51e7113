// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestOOMScoresAreRelative checks that no child is a smaller target of the OOM killer
// than PID 1, whatever adjustment the engine gave the container, and that a lack of room
// above it is named. With 985, gateway and command had 985, too, or less without root.
func TestOOMScoresAreRelative(t *testing.T) {
	for own, want := range map[int][2]string{
		1: {"100", "1000"}, 600: {"640", "1000"}, 985: {"986", "1000"}, 1000: {"1000", "1000"},
	} {
		t.Run(strconv.Itoa(own), func(t *testing.T) {
			b := box.Start(t, box.Options{OOMScore: own, Command: []string{"demotools", "sleep", "3600"}})
			b.WaitServing(10 * time.Second)
			r := waitCommand(b)
			for name, c := range map[string]struct {
				pid  int
				want string
			}{
				"PID 1": {1, strconv.Itoa(own)}, "the gateway": {r.Gateway.PID, want[0]}, "the command": {r.Command.PID, want[1]},
			} {
				data, err := os.ReadFile(b.Path(fmt.Sprintf("/proc/%d/oom_score_adj", c.pid)))
				if got := strings.TrimSpace(string(data)); err != nil || got != c.want {
					t.Errorf("%s has %s, want %s (%v)", name, got, c.want, err)
				}
			}
			named := false
			for _, h := range r.Hardening {
				named = named || h.Name == "oom-score"
			}
			if named != (own == 1000) {
				t.Errorf("oom-score is named: %v", named)
			}
		})
	}
}
