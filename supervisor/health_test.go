// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
)

// TestSlowStartIsSeenSoon checks that the attempts of a gateway that needs long to
// listen are made at these pauses. A worker that asked makes the next pause longer.
func TestSlowStartIsSeenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t).running()
		d.unit.phase = phaseStarting
		missing := result{reason: reason.ListenerMissing, definite: true}
		for _, c := range []struct {
			wait time.Duration
			r    result
			want time.Duration
		}{
			{8 * time.Millisecond, missing, time.Millisecond},
			{time.Second, missing, 15 * time.Millisecond},
			{time.Second, result{reason: reason.HealthTimeout, definite: true, asked: true}, 90 * time.Millisecond},
			{time.Minute, missing, 250 * time.Millisecond},
		} {
			time.Sleep(c.wait)
			d.finds(startProof, c.r)
			if got := time.Until(d.timers.due[attemptTimer]); got != c.want {
				t.Errorf("after %v more: the next attempt is in %v, want %v", c.wait, got, c.want)
			}
		}
	})
}
