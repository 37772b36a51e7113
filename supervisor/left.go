// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"syscall"
	"time"
)

// This file has what a sidecar leaves behind: the other processes of its group, when its
// program has ended. They may have data to save. They have the rest of the grace if the
// sidecar was stopped, and a grace of their own if it ended by itself. Until they are
// gone the sidecar is not started again. A process that has left the group is not found,
// because it cannot be told from the command's processes of the same user.
//
// The child is reaped as all others are, so it cannot keep the number of its group. Its
// pidfd stays open instead, and means that group alone (launch.Proc.SignalRest). The
// kernel signals all members in one step, so a group that forks forever is killed, too.

const (
	leftPause = 250 * time.Millisecond // before the next look whether they are gone
	leftBound = 30 * time.Second       // the longest grace of a sidecar that ended by itself, which is to start again
)

// fate says what becomes of the rest of c's group. A process that has the token does not
// outlive its sidecar.
func (c *sidecar) fate() groupFate {
	if c.hasToken() {
		return groupDies
	}
	return groupEnds
}

// leave gives the other processes of was's group their grace. If the group was told to
// end, they were told with it, and get no second signal.
func (c *sidecar) leave(was *child, grace time.Duration) {
	by := c.killAt
	c.killAt = time.Time{}
	if !was.keepsGroup() {
		return
	}
	if by.IsZero() {
		by = time.Now().Add(min(grace, leftBound))
	}
	c.left, c.killAt = was, by
	if !was.told { // an error shows at the next look, or when the grace is over
		was.proc.SignalRest(syscall.SIGTERM)
		was.proc.SignalRest(syscall.SIGCONT) // a stopped process does not see SIGTERM
	}
	c.lookAtLeft()
}

// lookAtLeft forgets the former child when no process of its group is left.
func (c *sidecar) lookAtLeft() {
	if c.left != nil && errors.Is(c.left.proc.SignalRest(0), syscall.ESRCH) {
		c.forgetLeft()
	}
}

func (c *sidecar) forgetLeft() {
	c.left.proc.Close()
	c.left, c.killAt = nil, time.Time{}
}

// killLeft kills the group at the end of its grace. The next start is a moment later,
// when its processes have ended.
func (c *sidecar) killLeft() {
	c.log.Warn().Str("event", evKilled).Msg("processes that the sidecar left behind did not end within its grace")
	c.left.proc.SignalRest(syscall.SIGKILL)
	c.forgetLeft()
	if next := time.Now().Add(plainRetry); c.due.Before(next) {
		c.due = next
	}
}
