// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"os"
	"testing"
	"time"
)

// LongVariable is the name of an environment variable. If it is 1, tests that repeat
// one thing do so as often as a developer can wait for, and tests that know a time
// limit enforce it. make long-rounds sets it.
const LongVariable = "GATEWAY_TEST_LONG"

// Patience is the shortest deadline in make test, because another program may have
// the processor for as long.
const Patience = time.Minute

// Long reports whether LongVariable is 1.
func Long(t testing.TB) bool {
	t.Helper()
	switch v := os.Getenv(LongVariable); v {
	case "", "0":
		return false
	case "1":
		return true
	default:
		t.Fatalf("%s=%s is neither 0 nor 1", LongVariable, v)
		return false
	}
}

// AtMost returns the time that something may take. It is limit if LongVariable is 1.
// Otherwise it is Patience, if that is longer, so that only something that does not
// end is a failure.
func AtMost(t testing.TB, limit time.Duration) time.Duration {
	t.Helper()
	if Long(t) {
		return limit
	}
	return max(limit, Patience)
}
