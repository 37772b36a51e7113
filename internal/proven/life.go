package proven

import "net/netip"

const MaxCookies = 64

type Life struct {
	Generation uint64
	Addr       netip.AddrPort
	UID        uint32
	Cookies    []uint64
	PIDFD      int
}

func Covers(listener, addr netip.AddrPort) bool { return false }
