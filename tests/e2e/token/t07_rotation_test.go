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
// After a leak the operator rotated the token, and the old one went on
// working for as long as the old process lived.
func TestOldTokenIsRefusedAfterRotation(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(30 * time.Second)
	pid, path := c.HostPID(), c.HostPath("/run/gateway-init/gateway-token")
	for round := range 5 {
		before := c.Token()
		// The next token is tried from the moment that it exists: as name.new,
		// while the old gateway still serves, and then in its place.
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
		defer stopOld() // a test that fails in between
		defer stopFresh()
		harness.Eventually(t, 10*time.Second, "the old token to work", func() error { return letIn(old) })
		c.MustCtl("restart", "--rotate-token")
		after := c.Token()
		if before == after {
			t.Fatal("the token is the same")
		}
		harness.Eventually(t, 10*time.Second, "the new token to work", func() error { return letIn(fresh) })
		// The old one is tried some more times beside the new one.
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

// letIn tells whether a try was let in.
func letIn(h *hammer) error {
	if _, first, _ := h.seen(); first.IsZero() {
		return errors.New("not let in")
	}
	return nil
}
