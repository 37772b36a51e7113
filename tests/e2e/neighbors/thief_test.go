// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// partLen is the number of characters of the token that count as a leak.
const partLen = 16

const (
	loot     = "/tmp/loot"
	portAddr = "127.0.0.1:18789"
	takes    = 25
)

// tokenIn reports whether data has a part of the token.
func tokenIn(data, token string) bool {
	for i := 0; i+partLen <= len(token); i++ {
		if strings.Contains(data, token[i:i+partLen]) {
			return true
		}
	}
	return false
}

// hasToken reports whether the thief has a part of the first token, of one that a later
// gateway was started with, or of the one in force.
func hasToken(t *testing.T, c *harness.Container, first string) bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.StateDir(), "lives"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	tokens := []string{first, c.Token()}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			tokens = append(tokens, fields[2])
		}
	}
	loot := c.FileText(loot)
	return slices.ContainsFunc(tokens, func(token string) bool { return tokenIn(loot, token) })
}

// Scenario F15. If the gateway ends between the check of the listener and the
// token, and the agent takes the port, the token is not sent.
//
// The agent took the port after the supervisor had checked its owner and before it
// sent the token, so the agent got the token.
func TestPortThiefNeverGetsTheToken(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]struct {
		give string // the gateway loses its port before this answer
		ends bool   // then the gateway ends, too
		args []string
		// The thief must have got a connection, otherwise the race was not tested.
		connected bool
	}{
		"deaf-after-ready":         {"ready", false, nil, true},
		"deaf-after-refusal":       {"refusal", false, nil, true},
		"deaf-before-eager-thief":  {"refusal", false, []string{"-eager"}, true},
		"dies-after-ready":         {"ready", true, nil, false},
		"dies-after-refusal":       {"refusal", true, nil, false},
		"dies-before-eager-thief":  {"refusal", true, []string{"-eager"}, false},
		"dies-and-is-always-there": {"refusal", true, []string{"-hold", "0.5"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Config: map[string]any{"gateway": map[string]any{
				"health":  map[string]any{"interval": "200ms"},
				"restart": map[string]any{"backoff_min": "10ms", "backoff_max": "10ms"},
			}}})
			old := c.WaitServing(20 * time.Second)
			token := c.Token()
			misbehavior := map[string]any{"give_port": m.give, "give_and_end": m.ends, "note_lives": true}
			c.SetMisbehave(misbehavior) // for the next gateways
			c.Misbehave(misbehavior)
			c.ExecDetached("sandbox", append(append([]string{"demotools", "thief"}, m.args...), portAddr, loot)...)
			harness.Eventually(t, 3*time.Minute, fmt.Sprintf("%d thefts", takes), func() error {
				// Each probe and each recover starts a proof.
				for _, verb := range []string{"probe", "recover"} {
					c.Ctl(verb)
				}
				if n := strings.Count(c.FileText(loot), "take "); n < takes {
					return fmt.Errorf("%d", n)
				}
				return nil
			})
			heard := c.FileText(loot)
			if m.connected && !strings.Contains(heard, "connection\n") {
				t.Error("no proof connected to the thief")
			}
			if strings.Contains(heard, "HTTP/1.1") { // a connection is proven before its first byte
				t.Errorf("a proof has asked the thief:\n%s", heard)
			}
			if now := c.Status(); !m.ends && now.Gateway.Process != old.Gateway.Process {
				t.Errorf("a gateway that lost its port for moments was replaced: %+v, was %+v", now.Gateway, old.Gateway)
			}
			if hasToken(t, c, token) {
				t.Fatal("the thief has the token")
			}
			c.EndAgent("demotools")
			c.SetMisbehave(nil)
			c.Ctl("restart")
			c.WaitServing(20 * time.Second)
			if hasToken(t, c, token) {
				t.Fatal("the thief has the token")
			}
			if c.Token() == token {
				t.Error("the thief had the port, and the token is the same")
			}
		})
	}
}

// The thief of F15 records a token that a client sends to it.
func TestThiefRecords(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(20 * time.Second)
	token := c.Token()
	c.MustCtl("stop")
	c.ExecDetached("sandbox", "demotools", "thief", "-hold", "0", portAddr, loot)
	harness.Eventually(t, 10*time.Second, "the thief to have the token it was sent", func() error {
		r := c.HTTP("GET", "/api/whoami", token, "")
		if !tokenIn(c.FileText(loot), token) {
			return fmt.Errorf("it answered %+v and has %q", r, c.FileText(loot))
		}
		return nil
	})
}
