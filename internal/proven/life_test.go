// SPDX-License-Identifier: Apache-2.0

package proven

import (
	"net/netip"
	"testing"
)

// TestCovers checks that no listener is left out that the kernel could choose.
func TestCovers(t *testing.T) {
	for name, c := range map[string]struct {
		listener, addr string
		want           bool
	}{
		"itself":            {"127.0.0.1:80", "127.0.0.1:80", true},
		"other-port":        {"127.0.0.1:81", "127.0.0.1:80", false},
		"other-address":     {"127.0.0.2:80", "127.0.0.1:80", false},
		"any-v4":            {"0.0.0.0:80", "127.0.0.1:80", true},
		"any-v4-other-port": {"0.0.0.0:81", "127.0.0.1:80", false},
		"any-v4-for-v6":     {"0.0.0.0:80", "[::1]:80", false},
		"any-v6":            {"[::]:80", "[::1]:80", true},
		"dual-stack":        {"[::]:80", "127.0.0.1:80", true},
		"mapped":            {"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true},
		"mapped-any":        {"[::ffff:0.0.0.0]:80", "127.0.0.1:80", true},
		"v6":                {"[::1]:80", "[::1]:80", true},
		"v6-for-v4":         {"[::1]:80", "127.0.0.1:80", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Covers(netip.MustParseAddrPort(c.listener), netip.MustParseAddrPort(c.addr)); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
