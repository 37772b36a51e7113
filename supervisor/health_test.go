// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
)

// TestAttemptPause checks the pauses between attempts. In the first 30 s a listener is
// looked for within 20 ms, and a gateway that listens is asked within 100 ms.
func TestAttemptPause(t *testing.T) {
	for _, c := range []struct {
		age       time.Duration
		look, ask time.Duration
	}{
		{0, time.Millisecond, 25 * time.Millisecond},
		{40 * time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond},
		{310 * time.Millisecond, 20 * time.Millisecond, 310 * time.Millisecond / 8},
		{1900 * time.Millisecond, 20 * time.Millisecond, 90 * time.Millisecond},
		{soon - 1, 20 * time.Millisecond, 90 * time.Millisecond},
		{soon, 250 * time.Millisecond, time.Second},
		{time.Hour, 250 * time.Millisecond, time.Second},
	} {
		if look, ask := attemptPause(c.age, false), attemptPause(c.age, true); look != c.look || ask != c.ask {
			t.Errorf("at %v: look after %v, ask after %v; want %v, %v", c.age, look, ask, c.look, c.ask)
		}
	}
}

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
			{time.Second, missing, 20 * time.Millisecond},
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
