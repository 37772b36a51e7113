// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"slices"
	"time"

	"github.com/gateway-init/gateway-init/internal/config"
)

// Exit codes that mean something by themselves.
const (
	exitClean   = 0  // OpenClaw, after a SIGTERM that we did not send
	exitPlanned = 75 // EX_TEMPFAIL: Hermes asks to be started again
)

// exitFacts describes an exit that was not requested.
type exitFacts struct {
	code   int // 128+n by signal
	served time.Duration
	proven bool
}

// backoff decides how long to wait before the next start, of the gateway or of a
// sidecar. streak is the number of failures in a row.
type backoff struct {
	min, max, reset time.Duration
	hold            []int
	streak          int
}

func newBackoff(g config.Gateway) backoff {
	return backoff{min: g.BackoffMin, max: g.BackoffMax, reset: g.ResetAfter, hold: g.HoldCodes}
}

// countFailure returns the delay before the next start, and whether the exit counts
// as a failure (docs/design.md, section 9). An unrequested exit counts if it came
// before the proof or before reset_after, unless its code was 75, or 0 after the
// proof. After a code that a restart does not cure, the delay is the maximum.
func (b *backoff) countFailure(e exitFacts) (delay time.Duration, failure bool) {
	if e.proven && e.served >= b.reset {
		b.streak = 0
	}
	planned := e.code == exitPlanned || e.code == exitClean && e.proven
	if failure = !planned && !(e.proven && e.served >= b.reset); failure {
		b.streak++
	}
	switch {
	case b.held(e.code):
		return b.max, failure
	case !failure:
		return b.min, false
	}
	return b.delay(), true
}

// held reports whether the delay after an exit with this code is the maximum.
func (b *backoff) held(code int) bool { return slices.Contains(b.hold, code) }

// delay returns the pause for the current streak. It doubles with each failure
// exit, up to the maximum.
func (b *backoff) delay() time.Duration {
	d := b.min
	for i := 1; i < b.streak && d < b.max; i++ {
		d *= 2
	}
	return min(d, b.max)
}
