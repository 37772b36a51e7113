// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"testing"
	"time"
)

func TestCharge(t *testing.T) {
	const least, most, reset = 200 * time.Millisecond, 30 * time.Second, time.Minute
	for name, c := range map[string]struct {
		streak  int
		e       ended
		delay   time.Duration
		charged bool
		after   int
	}{
		"crash-before-the-proof":           {0, ended{code: 1}, least, true, 1},
		"second-crash-doubles":             {1, ended{code: 1}, 2 * least, true, 2},
		"delay-is-capped":                  {40, ended{code: 137}, most, true, 41},
		"zero-before-the-proof-is-a-crash": {0, ended{code: 0}, least, true, 1},
		"zero-after-the-proof":             {3, ended{code: 0, proven: true, served: time.Second}, least, false, 3},
		"planned":                          {3, ended{code: 75}, least, false, 3},
		"killed-soon-after-the-proof":      {0, ended{code: 137, proven: true, served: time.Second}, least, true, 1},
		"killed-after-a-long-time":         {9, ended{code: 137, proven: true, served: reset}, least, false, 0},
		"hold-code-waits-the-maximum":      {0, ended{code: 78}, most, true, 1},
		"start-failure-without-code":       {0, ended{code: -1}, least, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := backoff{min: least, max: most, reset: reset, hold: []int{78}, streak: c.streak}
			delay, charged := b.charge(c.e)
			if delay != c.delay || charged != c.charged || b.streak != c.after {
				t.Errorf("got %v, charged %v, streak %d; want %v, %v, %d", delay, charged, b.streak, c.delay, c.charged, c.after)
			}
		})
	}
}
