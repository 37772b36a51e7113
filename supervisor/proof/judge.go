// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"net/netip"
	"slices"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sockets"
)

// Ownership says which processes listen on the gateway's port.
type Ownership uint8

// The answers.
const (
	Ours    Ownership = iota // the gateway alone
	Missing                  // no process
	Foreign                  // another process, perhaps beside the gateway
)

// Judge decides whether the listeners are those of uid. foreign lists the listeners
// that are not.
func Judge(ls []sockets.Listener, uid uint32) (o Ownership, foreign []sockets.Listener) {
	for _, l := range ls {
		if l.UID != uid {
			foreign = append(foreign, l)
		}
	}
	return decide(ls, foreign), foreign
}

// JudgeHolders is Judge where gateway and agent have the same uid. A listener is the
// gateway's if the process pid or a descendant of it has the socket among its
// descriptors. pid must be a child that is not reaped yet, or be verified again
// afterwards. If one of these processes cannot be seen, the error is ErrUnproven,
// and no listener counts as foreign.
//
// Not defended: the agent can pass its descriptor to the gateway only with the
// gateway's help, but it can trace the gateway (docs/tcb.md).
func JudgeHolders(ls []sockets.Listener, pid int) (o Ownership, foreign []sockets.Listener, err error) {
	foreign, err = sockets.ListUnheld(ls, pid)
	if err != nil {
		return Missing, nil, err
	}
	return decide(ls, foreign), foreign, nil
}

// JudgeHeld is Judge where PID 1 has made the gateway's sockets, which have these cookies.
// Where the kernel gives no cookies the listeners' number decides, because nobody else can
// bind the port.
func JudgeHeld(ls []sockets.Listener, cookies []uint64) (o Ownership, foreign []sockets.Listener) {
	for _, l := range ls {
		if !isHeld(l, cookies) {
			foreign = append(foreign, l)
		}
	}
	return decide(ls, foreign), foreign
}

func isHeld(l sockets.Listener, cookies []uint64) bool {
	return l.Cookie == 0 || slices.Contains(cookies, l.Cookie)
}

// OnAddress returns those of the listeners that cover the address by which uid's gateway is
// reached, or all of them if uid has none.
func OnAddress(ls []sockets.Listener, uid uint32) (on []sockets.Listener) {
	own := slices.DeleteFunc(slices.Clone(ls), func(l sockets.Listener) bool { return l.UID != uid })
	if len(own) == 0 {
		return ls
	}
	addr := Address(own)
	for _, l := range ls {
		if gets(l, addr) {
			on = append(on, l)
		}
	}
	return on
}

// gets reports whether a connection to addr can reach the listener.
func gets(l sockets.Listener, addr netip.AddrPort) bool {
	return proven.Covers(l.Addr, addr) && !(l.V6Only && addr.Addr().Is4())
}

// Address returns the best address at which the listeners can be reached, or the zero
// value without a listener.
func Address(ls []sockets.Listener) netip.AddrPort {
	all := addresses(ls)
	if len(all) == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(all[0], ls[0].Addr.Port())
}

// addresses returns the addresses by which the listeners are reached, best first. Clients
// of localhost use 127.0.0.1 and [::1]. A container that shares our network namespace, and
// has the same uid, can listen on any other address.
func addresses(ls []sockets.Listener) (all []netip.Addr) {
	ls = slices.Clone(ls)
	slices.SortStableFunc(ls, func(a, b sockets.Listener) int { return rank(a) - rank(b) })
	for _, l := range ls {
		switch a := l.Addr.Addr().Unmap(); a {
		case netip.IPv4Unspecified():
			all = append(all, loopback4)
		case netip.IPv6Unspecified(): // we cannot see whether it has IPv4, too
			all = append(all, netip.IPv6Loopback(), loopback4)
		default:
			all = append(all, a)
		}
	}
	return all
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func rank(l sockets.Listener) int {
	switch l.Addr.Addr().Unmap() {
	case loopback4, netip.IPv4Unspecified():
		return 0
	case netip.IPv6Loopback(), netip.IPv6Unspecified():
		return 1
	}
	return 2
}

func decide(ls, foreign []sockets.Listener) Ownership {
	switch {
	case len(ls) == 0:
		return Missing
	case len(foreign) > 0:
		return Foreign
	}
	return Ours
}

// IsBeside reports whether a foreign listener is there beside a listener of the gateway.
// Such a gateway must not be stopped, because it could not start again, and an agent that
// holds the port would turn a restart into an outage.
func IsBeside(all, foreign []sockets.Listener) bool {
	return len(foreign) > 0 && len(foreign) < len(all)
}

// holder makes a worker's two lookups by descriptor instead of by uid.
type holder struct {
	pid int
	uid uint32
}

// maxLooks is the number of searches in a row that must find no holder of a
// connection.
const maxLooks = 2

// noUser is the uid of a socket that the gateway does not hold. No user has this
// uid.
const noUser = ^uint32(0)

func (h holder) listeners(port uint16) ([]sockets.Listener, error) {
	ls, err := sockets.Listeners(port)
	if err != nil {
		return nil, err
	}
	foreign, err := sockets.ListUnheld(ls, h.pid)
	for i, l := range ls {
		ls[i].UID = h.uid
		if slices.Contains(foreign, l) {
			ls[i].UID = noUser
		}
	}
	return ls, err
}

// ownerOf returns the gateway's uid if the gateway holds the server's end, and
// noUser if it does not. A connection without a known holder may have been accepted
// or closed while the descriptors were read. So it counts as foreign only if it
// still exists after that, and if two searches found no holder.
func (h holder) ownerOf(local, remote netip.AddrPort) (uint32, error) {
	inode, err := sockets.Inode(local, remote)
	for range maxLooks {
		held := false
		if err == nil {
			held, err = sockets.IsHeld(inode, h.pid)
		}
		if err != nil {
			return 0, err
		}
		if held {
			return h.uid, nil
		}
		inode, err = sockets.Inode(local, remote)
	}
	return noUser, err
}
