// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"testing"
	"time"
)

func TestOnlyCrashesCountAsFailures(t *testing.T) {
	const least, most, reset = 200 * time.Millisecond, 30 * time.Second, time.Minute
	for name, c := range map[string]struct {
		streak  int
		e       exitFacts
		delay   time.Duration
		failure bool
		after   int
	}{
		"crash-before-the-proof":           {0, exitFacts{code: 1}, least, true, 1},
		"second-crash-doubles":             {1, exitFacts{code: 1}, 2 * least, true, 2},
		"delay-is-capped":                  {40, exitFacts{code: 137}, most, true, 41},
		"zero-before-the-proof-is-a-crash": {0, exitFacts{code: 0}, least, true, 1},
		"zero-after-the-proof":             {3, exitFacts{code: 0, proven: true, served: time.Second}, least, false, 3},
		"planned":                          {3, exitFacts{code: 75}, least, false, 3},
		"killed-soon-after-the-proof":      {0, exitFacts{code: 137, proven: true, served: time.Second}, least, true, 1},
		"killed-after-a-long-time":         {9, exitFacts{code: 137, proven: true, served: reset}, least, false, 0},
		"hold-code-waits-the-maximum":      {0, exitFacts{code: 78}, most, true, 1},
		"start-failure-without-code":       {0, exitFacts{code: -1}, least, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := backoff{min: least, max: most, reset: reset, hold: []int{78}, streak: c.streak}
			delay, failure := b.countFailure(c.e)
			if delay != c.delay || failure != c.failure || b.streak != c.after {
				t.Errorf("got %v, failure %v, streak %d; want %v, %v, %d", delay, failure, b.streak, c.delay, c.failure, c.after)
			}
		})
	}
}
