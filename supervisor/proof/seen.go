// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sockets"
)

// Seen is what a worker has proven: the address that it asked, and the listeners that
// covered it before that, by their cookies. PID 1 compares them with the listeners
// afterwards.
type Seen struct {
	Addr    netip.AddrPort
	Cookies []uint64 // sorted; none where the kernel gives no cookies
}

// SeenAt returns the listeners that cover addr.
func SeenAt(ls []sockets.Listener, addr netip.AddrPort) Seen {
	s := Seen{Addr: addr}
	for _, l := range ls {
		if gets(l, addr) && l.Cookie != 0 {
			s.Cookies = append(s.Cookies, l.Cookie)
		}
	}
	slices.Sort(s.Cookies)
	return s
}

// Equal reports whether both are the same listeners of one address.
func (s Seen) Equal(other Seen) bool {
	return s.Addr == other.Addr && slices.Equal(s.Cookies, other.Cookies)
}

// Encode returns the line that a worker sends, or "" if there are too many listeners.
func (s Seen) Encode() string {
	if len(s.Cookies) > proven.MaxCookies {
		return ""
	}
	b := []byte(s.Addr.String())
	for _, c := range s.Cookies {
		b = strconv.AppendUint(append(b, ' '), c, 16)
	}
	return string(append(b, '\n'))
}

// ParseSeen parses exactly what Encode returns. A process of the gateway's uid may have
// written the text.
func ParseSeen(text string) (s Seen, ok bool) {
	line, rest, ended := strings.Cut(text, "\n")
	words := strings.Split(line, " ")
	addr, err := netip.ParseAddrPort(words[0])
	if err != nil || !ended || rest != "" || len(words) > 1+proven.MaxCookies || addr.Addr().Zone() != "" {
		return s, false
	}
	s.Addr = addr
	for _, w := range words[1:] {
		c, err := strconv.ParseUint(w, 16, 64)
		if err != nil {
			return Seen{}, false
		}
		s.Cookies = append(s.Cookies, c)
	}
	return s, s.Encode() == text
}
