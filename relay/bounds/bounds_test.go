// SPDX-License-Identifier: Apache-2.0

package bounds

import (
	"net/netip"
	"testing"

	"github.com/gateway-init/gateway-init/internal/relaycount"
)

// fill takes clients until one is refused, and returns their number and the reason.
func fill(b *Bounds, c Client) (n int, r relaycount.Reason) {
	for {
		var ok bool
		if r, ok = b.Take(c); !ok {
			return n, r
		}
		n++
	}
}

var limits = Limits{Total: 64, Kept: 8, PerUser: 16, PerAddress: 50}

func remote(a string) Client { return Client{Addr: netip.MustParseAddr(a)} }

// Scenario C12. TestFlood checks that a user, an address, or all of them together leave
// room for the others, and what the kept share is for.
func TestFlood(t *testing.T) {
	agent, operator := Client{Local: true, UID: 2002}, Client{Local: true, UID: 2003, Favored: true}
	for name, c := range map[string]struct {
		first  Client
		n      int
		reason relaycount.Reason
		other  Client
		rest   int
	}{
		"agent":                    {agent, 16, relaycount.LocalLimit, Client{Local: true, UID: 5}, 16},
		"agent-then-operator":      {agent, 16, relaycount.LocalLimit, operator, 48},
		"remote":                   {remote("172.17.0.1"), 50, relaycount.RemoteLimit, remote("172.17.0.2"), 6},
		"remote-then-operator":     {remote("172.17.0.1"), 50, relaycount.RemoteLimit, operator, 14},
		"one-ipv6-network":         {remote("2001:db8::1"), 50, relaycount.RemoteLimit, remote("2001:db8::ffff:2"), 0},
		"other-ipv6-network":       {remote("2001:db8::1"), 50, relaycount.RemoteLimit, remote("2001:db8:0:1::1"), 6},
		"unknown-users":            {Client{Local: true, UID: Nobody}, 56, relaycount.TotalLimit, operator, 8},
		"operator-has-no-own":      {operator, 64, relaycount.TotalLimit, agent, 0},
		"mapped-is-the-same":       {remote("10.0.0.1"), 50, relaycount.RemoteLimit, remote("::ffff:10.0.0.1"), 0},
		"an-operator-is-not-aside": {agent, 16, relaycount.LocalLimit, Client{Local: true, UID: 2002, Favored: true}, 48},
	} {
		t.Run(name, func(t *testing.T) {
			b := New(limits)
			if n, r := fill(b, c.first); n != c.n || r != c.reason {
				t.Errorf("%d taken, then %v; want %d, %v", n, r, c.n, c.reason)
			}
			rest, _ := fill(b, c.other)
			if rest != c.rest {
				t.Errorf("%d of the others, want %d", rest, c.rest)
			}
			for range rest {
				b.Release(c.other)
			}
			for range c.n {
				b.Release(c.first)
			}
			if b.total != 0 || b.favored != 0 || len(b.users) != 0 || len(b.addresses) != 0 {
				t.Errorf("left behind: %+v", b)
			}
		})
	}
}

// TestFor checks that the limits keep within the descriptors of the process.
func TestFor(t *testing.T) {
	for descriptors, total := range map[int]int{1 << 20: 4096, 8192 + 64: 4096, 1024: 480, 64: 1, 10: 1} {
		l := For(descriptors, 64)
		if l.Total != total || l.PerUser < 1 || l.PerAddress < 1 || l.PerUser > l.Total || l.PerAddress > l.Total || l.Kept >= l.Total {
			t.Errorf("%d descriptors: %+v", descriptors, l)
		}
	}
}
