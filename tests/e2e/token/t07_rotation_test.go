package token

import (
	"sync/atomic"
	"testing"
	"time"

	"gatewayinit/tests/harness"
)

// After a leak the operator rotated the token, and the old one went on working
// for as long as the old process lived.
func TestScenarioT07(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(30 * time.Second)
	for round := range 5 {
		before := c.Token()
		var stop atomic.Bool
		order := make(chan []string, 1)
		go func() { order <- accepted(c, before, &stop) }()
		c.MustCtl("restart", "--rotate-token")
		after := c.Token()
		if before == after {
			t.Fatal("the token is the same")
		}
		// The watcher has to see the new one at work before it ends.
		harness.Eventually(t, 10*time.Second, "the new token to work", func() error {
			return statusIs(c, after, 200)
		})
		harness.Eventually(t, 10*time.Second, "the old token to be refused", func() error {
			return statusIs(c, before, 401)
		})
		stop.Store(true)
		seen := <-order
		sawNew := false
		for _, which := range seen {
			if which == "new" {
				sawNew = true
			} else if sawNew {
				t.Fatalf("round %d: the old token worked after the new one: %v", round, seen)
			}
		}
		if !sawNew || len(seen) < 2 {
			t.Fatalf("round %d: saw only %v", round, seen)
		}
		if r := c.Status(); r.Token.Generation != round+2 {
			t.Errorf("round %d: status says generation %d", round, r.Token.Generation)
		}
	}
}

func statusIs(c *harness.Container, token string, want int) error {
	r := c.HTTP("GET", "/api/whoami", token, "")
	if r.Err != nil || r.Code != want {
		return &unexpected{r}
	}
	return nil
}

type unexpected struct{ r harness.Response }

func (u *unexpected) Error() string { return u.r.Body + errText(u.r.Err) }

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// accepted tries the old token and the one in the file in turn, one request at
// a time, and notes the order in which they were let in.
func accepted(c *harness.Container, old string, stop *atomic.Bool) (order []string) {
	note := func(which string) {
		if n := len(order); n == 0 || order[n-1] != which {
			order = append(order, which)
		}
	}
	for !stop.Load() {
		if c.HTTP("GET", "/api/whoami", old, "").Code == 200 {
			note("old")
		}
		if now := c.Token(); now != old && c.HTTP("GET", "/api/whoami", now, "").Code == 200 {
			note("new")
		}
	}
	return order
}
