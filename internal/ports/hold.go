// SPDX-License-Identifier: Apache-2.0

// Package ports binds the published port, and finds ports for the gateway. While PID 1
// holds a port, no other process can bind any form of its address.
package ports

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sys"
)

const (
	backlog = 4096      // the kernel cuts it to net.core.somaxconn
	buffer  = 256 << 10 // SO_RCVBUF of accepted sockets, in bytes
)

// Held is a published port. Its sockets are open for the life of the container.
type Held struct {
	Listening []*os.File       // for a program that accepts; PID 1 never does
	Addrs     []netip.AddrPort // of Listening
	Cookies   []uint64         // of Listening
	bound     []*os.File       // bound, and never listening
}

// heldSocket is one socket of a held port.
type heldSocket struct {
	addr    netip.AddrPort
	listens bool
}

// heldSockets returns the sockets that hold a port. Both wildcard addresses are among
// them, because a wildcard socket is in conflict with every form of the address. Without
// [::], for example, another process could take [::1], which clients of localhost try
// first. Loopback always listens.
func heldSockets(port uint16, address string) (all []heldSocket) {
	add := func(addr netip.Addr, listens bool) {
		all = append(all, heldSocket{netip.AddrPortFrom(addr, port), listens})
	}
	v4 := address == config.PublishIPv4 || address == config.PublishAll
	v6 := address == config.PublishIPv6 || address == config.PublishAll
	add(netip.IPv4Unspecified(), v4)
	if !v4 {
		add(loopback4, true)
	}
	add(netip.IPv6Unspecified(), v6)
	if !v6 {
		add(netip.IPv6Loopback(), true)
	}
	return all
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Hold binds the port and listens on it as the address says (config.Publish). It fails if
// another process has the port, or could take a part of it afterwards.
func Hold(port uint16, address string) (*Held, error) {
	if err := Probe(port); err != nil {
		return nil, err
	}
	h := &Held{}
	if err := h.bind(heldSockets(port, address)); err != nil {
		h.Close()
		return nil, err
	}
	if form := bindable(port); form != "" {
		h.Close()
		return nil, fmt.Errorf("cannot hold port %d: this kernel lets others bind %s beside it", port, form)
	}
	return h, nil
}

// bind binds all sockets before one listens, because with SO_REUSEADDR sockets that do
// not listen do not conflict. Afterwards a socket that does not listen gives the option
// up, because otherwise others could bind beside it. One that listens keeps it: without
// it, connections in TIME_WAIT would keep the next container of the same network
// namespace from binding for a minute. SO_REUSEPORT is never used, because the kernel
// keeps that permission for the port.
func (h *Held) bind(sockets []heldSocket) error {
	for _, s := range sockets {
		f, err := sys.BindTCP(s.addr, sys.Bind{ReuseAddr: true, Any: true})
		switch {
		case errors.Is(err, unix.EAFNOSUPPORT): // a kernel without IPv6
			continue
		case errors.Is(err, unix.EACCES):
			return fmt.Errorf("cannot bind %s: %w: a port below net.ipv4.ip_unprivileged_port_start needs a capability that gateway-init does not keep: publish a higher port", s.addr, err)
		case err != nil:
			return fmt.Errorf("cannot bind %s: %w", s.addr, err)
		}
		if s.listens {
			h.Listening, h.Addrs = append(h.Listening, f), append(h.Addrs, s.addr)
		} else {
			h.bound = append(h.bound, f)
		}
	}
	for i, f := range h.Listening {
		if err := sys.Listen(f, backlog, buffer); err != nil {
			return fmt.Errorf("cannot listen on %s: %w", h.Addrs[i], err)
		}
		cookie, err := sys.Cookie(f)
		if err != nil {
			return fmt.Errorf("cannot identify the socket of %s: %w", h.Addrs[i], err)
		}
		h.Cookies = append(h.Cookies, cookie)
	}
	for _, f := range h.bound {
		if err := sys.ForbidReuse(f); err != nil {
			return fmt.Errorf("cannot hold a socket: %w", err)
		}
	}
	return nil
}

// Close gives the port up.
func (h *Held) Close() {
	for _, f := range slices.Concat(h.Listening, h.bound) {
		f.Close()
	}
}

// bindable tries to bind every form of the address of a held port, and returns the form
// that could be bound, or "".
func bindable(port uint16) string {
	forms := []netip.Addr{
		netip.IPv4Unspecified(), loopback4, netip.AddrFrom4([4]byte{127, 0, 0, 2}),
		netip.AddrFrom4([4]byte{192, 0, 2, 1}), // stands for an interface's, TEST-NET-1 (RFC 5737)
		netip.IPv6Unspecified(), netip.IPv6Loopback(),
		netip.MustParseAddr("2001:db8::1"), // as 192.0.2.1 (RFC 3849)
		netip.MustParseAddr("::ffff:0.0.0.0"), netip.MustParseAddr("::ffff:127.0.0.1"),
	}
	for _, addr := range forms {
		for option := range 8 {
			how := sys.Bind{ReuseAddr: option&1 != 0, ReusePort: option&2 != 0, Dual: option&4 != 0, Any: true}
			if how.Dual != addr.Is6() && !addr.IsUnspecified() || how.Dual && addr.Is4() {
				continue // IPV6_V6ONLY matters for [::] alone, and a mapped address cannot have it
			}
			f, err := sys.BindTCP(netip.AddrPortFrom(addr, port), how)
			if err == nil {
				f.Close()
				return f.Name()
			}
		}
	}
	return ""
}
