// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestRestartRefusedWithoutRoom checks that a restart leaves the old gateway alone when
// the pids limit leaves no room for the new one. The old gateway was stopped, and no new
// one could start for as long as the agent liked.
func TestRestartRefusedWithoutRoom(t *testing.T) {
	for name, args := range map[string][]string{
		"restart": {"restart"}, "rotation": {"restart", "--rotate-token"}, "drain": {"restart", "--drain", "5s"},
	} {
		t.Run(name, func(t *testing.T) {
			b := box.Start(t, box.Options{Pids: 200})
			before := b.WaitServing(10 * time.Second)
			b.LimitPids(b.PidsInUse() + 12) // enough for gatewayctl
			r := b.Ctl(append(args, "--timeout", "20s")...)
			if r.Code != 3 || !strings.HasPrefix(r.Stderr, "gatewayctl: cannot restart: no-room: ") ||
				!strings.Contains(r.Stderr, "pids are in use, and 16 more are needed") {
				t.Errorf("gatewayctl: %v", r)
			}
			if !strings.Contains(b.Log(), `"event":"refused","reason":"no-room","error":"`) {
				t.Errorf("no line:\n%s", b.Log())
			}
			b.LimitPids(200)
			if now := b.WaitServing(10 * time.Second); now.Gateway.Process != before.Gateway.Process {
				t.Errorf("the gateway was %+v, is %+v", before.Gateway.Process, now.Gateway.Process)
			}
			b.MustCtl(args...)
		})
	}
}
