// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario T07. After a rotation the old token is refused and the new one
// works. At no moment both work.
//
// After a leak the operator rotated the token, but the old one worked as long as the
// old process lived.
func TestOldTokenIsRefusedAfterRotation(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(30 * time.Second)
	pid, path := c.HostPID(), c.HostPath("/run/gateway-init/gateway-token")
	for round := range 5 {
		before := c.Token()
		// The next token is tried as soon as it exists: first in name.new, while the old
		// gateway still serves, and then in its place.
		next := func() string {
			for _, name := range []string{path + ".new", path} {
				if data, err := os.ReadFile(name); err == nil && len(data) == 64 && string(data) != before {
					return string(data)
				}
			}
			return ""
		}
		old, stopOld := newHammer(pid, func() string { return before })
		fresh, stopFresh := newHammer(pid, next)
		defer stopOld() // in case the test fails in between
		defer stopFresh()
		harness.Eventually(t, 10*time.Second, "the old token to work", func() error { return checkLetIn(old) })
		c.MustCtl("restart", "--rotate-token")
		after := c.Token()
		if before == after {
			t.Fatal("the token is the same")
		}
		harness.Eventually(t, 10*time.Second, "the new token to work", func() error { return checkLetIn(fresh) })
		// The old token is tried some more times beside the new one.
		tries, _, _ := old.seen()
		harness.Eventually(t, 10*time.Second, "more tries", func() error {
			if now, _, _ := old.seen(); now < tries+20 {
				return errors.New("not yet")
			}
			return nil
		})
		stopOld()
		stopFresh()
		_, newFirst, _ := fresh.seen()
		n, _, oldLast := old.seen()
		if both := overlap(newFirst, oldLast); both > 0 {
			t.Fatalf("round %d: both tokens worked for %v", round, both)
		}
		t.Logf("round %d: %d tries with the old token, let in for the last time %v before the new one", round, n, newFirst.Sub(oldLast))
		if r := c.HTTP("GET", "/api/whoami", before, ""); r.Code != 401 {
			t.Errorf("round %d: the old token gets %d %v", round, r.Code, r.Err)
		}
		if r := c.HTTP("GET", "/api/whoami", after, ""); r.Code != 200 {
			t.Errorf("round %d: the new token gets %d %v", round, r.Code, r.Err)
		}
		if r := c.Status(); r.Token.Generation != round+2 {
			t.Errorf("round %d: status says generation %d", round, r.Token.Generation)
		}
	}
}

// checkLetIn returns an error unless the gateway took the hammer's token.
func checkLetIn(h *hammer) error {
	if _, first, _ := h.seen(); first.IsZero() {
		return errors.New("not let in")
	}
	return nil
}
