// SPDX-License-Identifier: Apache-2.0

// Package policy has the numbers by which a supervisor, and root's gatewayctl beside a
// supervisor without root, decide about a gateway.
package policy

import "time"

// Failures is the number of definite failures in a row after which a gateway that is
// alive is replaced. One slow answer is not enough.
const Failures = 4

// RestartPids is the number of free pids without which a restart is refused. The
// re-exec child and a worker have four or five threads each. A gateway that runs Node
// begins with eleven. The old gateway's are not counted, because when it ends, the agent
// may take them first.
const RestartPids = 16

// RecoverPause doubles before each further proof of a recover.
const RecoverPause = 50 * time.Millisecond

// Pauses between two attempts to prove a gateway that starts. A look for its listener
// costs 0.1 ms of CPU, and a worker that asks it costs 2 to 3 ms.
const (
	soon      = 30 * time.Second       // so long after a start the pauses are short
	lookFirst = time.Millisecond       // between looks
	lookSoon  = 15 * time.Millisecond  // at most this, soon after the start
	lookLate  = 250 * time.Millisecond // later
	askFirst  = 25 * time.Millisecond  // between workers
	askSoon   = 90 * time.Millisecond  // so a gateway that gets ready is asked within 100 ms

	// AskLate is the longest pause between two workers.
	AskLate = time.Second

	// ListenWait is how long the first worker of a start waits for the listener. It is
	// started with the gateway, so that a gateway that listens soon finds it ready to ask.
	ListenWait = 40 * time.Millisecond
)

// AttemptPause returns the pause before the next attempt to prove a gateway of this age.
// At first it is an eighth of the age. asked says that a worker asked the gateway.
func AttemptPause(age time.Duration, asked bool) time.Duration {
	first, last := lookFirst, lookSoon
	if asked {
		first, last = askFirst, askSoon
	}
	if age < soon {
		return min(max(age/8, first), last)
	}
	if asked {
		return AskLate
	}
	return lookLate
}
