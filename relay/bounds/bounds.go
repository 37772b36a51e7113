// SPDX-License-Identifier: Apache-2.0

// Package bounds counts the clients of the relay, so that no user and no address can
// keep the others out.
package bounds

import (
	"net/netip"

	"github.com/gateway-init/gateway-init/internal/relaycount"
)

// Limits are numbers of clients.
type Limits struct {
	Total      int // of all
	Kept       int // of Total, for favored users alone
	PerUser    int // of one local user
	PerAddress int // of one remote address
}

// most is the total. A client takes two descriptors, and some 10 KiB of kernel memory
// while it is idle. Ten browsers have a hundred connections.
const most = 4096

// For returns the limits for a process that may have so many descriptors, of which it
// needs some for itself. Behind docker-proxy all clients of the host come from one
// address, so its limit is near the total. A local user of whom there are several, such
// as the agent, can have a quarter.
func For(descriptors, own int) Limits {
	total := max(min(most, (descriptors-own)/2), 1)
	return Limits{Total: total, Kept: total / 16, PerUser: max(total/4, 1), PerAddress: max(total*7/8, 1)}
}

// Client says where a client comes from.
type Client struct {
	Local   bool
	UID     uint32     // of a local client, or Nobody
	Addr    netip.Addr // of a remote one
	Favored bool       // root or the operator on this machine
}

// Nobody is the uid of a local client whose user cannot be found out.
const Nobody = ^uint32(0)

// Bounds counts clients. It is for one goroutine.
type Bounds struct {
	limits    Limits
	total     int
	favored   int
	users     map[uint32]int
	addresses map[netip.Addr]int
}

// New returns Bounds without a client.
func New(l Limits) *Bounds {
	return &Bounds{limits: l, users: map[uint32]int{}, addresses: map[netip.Addr]int{}}
}

// Take counts one more client, or says which limit keeps it out.
func (b *Bounds) Take(c Client) (r relaycount.Reason, ok bool) {
	addr := network(c.Addr)
	switch {
	case b.total >= b.limits.Total:
		return relaycount.TotalLimit, false
	case c.Favored:
		b.favored++
	case b.total-b.favored >= b.limits.Total-b.limits.Kept:
		return relaycount.TotalLimit, false
	case c.Local && c.UID != Nobody && b.users[c.UID] >= b.limits.PerUser:
		return relaycount.LocalLimit, false
	case !c.Local && b.addresses[addr] >= b.limits.PerAddress:
		return relaycount.RemoteLimit, false
	case c.Local:
		b.users[c.UID]++
	default:
		b.addresses[addr]++
	}
	b.total++
	return 0, true
}

// Release takes one client away that Take has counted.
func (b *Bounds) Release(c Client) {
	b.total--
	switch {
	case c.Favored:
		b.favored--
	case c.Local:
		decrease(b.users, c.UID)
	default:
		decrease(b.addresses, network(c.Addr))
	}
}

// decrease forgets a key at zero, so that the map does not grow with every address that
// was ever seen.
func decrease[K comparable](m map[K]int, key K) {
	if m[key]--; m[key] <= 0 {
		delete(m, key)
	}
}

// network returns what one host can have: an IPv4 address, or 64 bits of IPv6.
func network(a netip.Addr) netip.Addr {
	if a = a.Unmap(); !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
