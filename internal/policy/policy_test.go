// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"
)

// TestAttemptPause checks the pauses between attempts. In the first 30 s a listener is
// looked for within 15 ms, and a gateway that listens is asked within 100 ms.
func TestAttemptPause(t *testing.T) {
	for _, c := range []struct {
		age       time.Duration
		look, ask time.Duration
	}{
		{0, time.Millisecond, 25 * time.Millisecond},
		{40 * time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond},
		{310 * time.Millisecond, 15 * time.Millisecond, 310 * time.Millisecond / 8},
		{1900 * time.Millisecond, 15 * time.Millisecond, 90 * time.Millisecond},
		{soon - 1, 15 * time.Millisecond, 90 * time.Millisecond},
		{soon, 250 * time.Millisecond, time.Second},
		{time.Hour, 250 * time.Millisecond, time.Second},
	} {
		if look, ask := AttemptPause(c.age, false), AttemptPause(c.age, true); look != c.look || ask != c.ask {
			t.Errorf("at %v: look after %v, ask after %v; want %v, %v", c.age, look, ask, c.look, c.ask)
		}
	}
}
