// SPDX-License-Identifier: Apache-2.0

// Package policy has the numbers by which a supervisor, and root's gatewayctl beside a
// supervisor without root, decide about a gateway.
package policy

import "time"

// Failures is the number of definite failures in a row after which a gateway that is
// alive is replaced. One slow answer is not enough.
const Failures = 4

// Pauses between two looks for a listener or a process, and between two requests to
// the gateway. Each pause doubles from its first to its last value.
const (
	LookFirst = time.Millisecond
	LookLast  = 250 * time.Millisecond
	AskFirst  = 50 * time.Millisecond
	AskLast   = time.Second
)
