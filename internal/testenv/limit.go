package testenv

import (
	"os"
	"testing"
	"time"
)

// LongVariable is the environment variable that, if it is 1, makes tests that
// repeat one thing do it as often as they can be waited for, and makes those that
// know how long something may take hold it to that. make long-rounds sets it.
const LongVariable = "GATEWAY_TEST_LONG"

// Patience is the shortest deadline in make test: another program may have the
// processor for as long.
const Patience = time.Minute

// Long tells whether LongVariable is 1.
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

// AtMost is how long something may take: limit, where LongVariable is 1. Otherwise
// it is Patience, if that is longer: then only what does not end is a failure.
func AtMost(t testing.TB, limit time.Duration) time.Duration {
	t.Helper()
	if Long(t) {
		return limit
	}
	return max(limit, Patience)
}
