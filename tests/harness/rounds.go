// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Rounds returns how often a test repeats a part: short in make test, long in make
// long-rounds (testenv.LongVariable).
func Rounds(t testing.TB, short, long int) int {
	t.Helper()
	if testenv.Long(t) {
		return long
	}
	return short
}
