// SPDX-License-Identifier: Apache-2.0

// Package proven decides whether a TCP connection leads to the gateway, before the
// first byte flows on it.
//
// A check of the listener before the connect can be raced. A check of the listener
// alone can be beaten: the agent binds the gateway's port without listening, and
// connects from it to our source port, which is TCP's simultaneous open. So each
// connection is looked up by its own four addresses as well.
package proven

import (
	"net/netip"
)

// MaxCookies bounds the listeners of one life. A gateway with that many workers of its
// own is not known.
const MaxCookies = 64

// Life is the time from one start of the gateway to its end, with all that proves it.
type Life struct {
	Generation uint64         // counts the starts
	Addr       netip.AddrPort // one literal loopback address, and the port
	UID        uint32         // of the gateway
	Cookies    []uint64       // of every listener that covers Addr, sorted: 1 to MaxCookies
	Passed     bool           // the listeners are PID 1's, which the gateway accepts on, so their uid does not matter
	PIDFD      int            // of the gateway; -1 if the kernel has none
}

// Covers reports whether a listener can receive a connection to addr. A listener at
// [::] may receive IPv4, too, which its address does not show.
func Covers(listener, addr netip.AddrPort) bool {
	if listener.Port() != addr.Port() {
		return false
	}
	l, a := listener.Addr().Unmap(), addr.Addr().Unmap()
	return l == a || l == netip.IPv6Unspecified() || l == netip.IPv4Unspecified() && a.Is4()
}
