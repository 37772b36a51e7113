// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sockets"
)

func at(addr string) netip.AddrPort { return netip.MustParseAddrPort(addr) }

// TestSeenArrives checks that PID 1 reads what a worker has found, and nothing else.
func TestSeenArrives(t *testing.T) {
	many := Seen{Addr: at("[::1]:65535")}
	for i := range proven.MaxCookies {
		many.Cookies = append(many.Cookies, 1<<64-1-uint64(i))
	}
	for _, s := range []Seen{{Addr: at("127.0.0.1:1")}, {at("127.0.0.1:4000"), []uint64{1, 0xfe}}, many} {
		if got, ok := ParseSeen(s.Encode()); !ok || !got.Equal(s) {
			t.Errorf("%q came back as %+v, %t", s.Encode(), got, ok)
		}
	}
	many.Cookies = append(many.Cookies, 1)
	if text := many.Encode(); text != "" {
		t.Errorf("too many are sent as %q", text)
	}
	for _, text := range []string{"", "\n", "127.0.0.1:1", "127.0.0.1\n", "127.0.0.1:1 \n", "127.0.0.1:1  1\n", "127.0.0.1:1 0x1\n", "127.0.0.1:1 01\n",
		"127.0.0.1:1 g\n", "127.0.0.1:1\n\n", "127.0.0.1:01\n", "[::1%lo]:1\n", "127.0.0.1:1 10000000000000000\n", "127.0.0.1:1" + strings.Repeat(" 1", proven.MaxCookies+1) + "\n"} {
		if s, ok := ParseSeen(text); ok {
			t.Errorf("%q is %+v", text, s)
		}
	}
}

// TestSeenAt checks that only the listeners of the address count.
func TestSeenAt(t *testing.T) {
	ls := []sockets.Listener{
		{Addr: at("127.0.0.1:80"), Cookie: 9}, {Addr: at("0.0.0.0:80"), Cookie: 3}, {Addr: at("127.0.0.2:80"), Cookie: 4},
		{Addr: at("[::]:80"), Cookie: 5}, {Addr: at("[::1]:80"), Cookie: 6}, {Addr: at("127.0.0.1:80")},
	}
	if s := SeenAt(ls, at("127.0.0.1:80")); !s.Equal(Seen{at("127.0.0.1:80"), []uint64{3, 5, 9}}) {
		t.Errorf("got %+v", s)
	}
	if s := SeenAt(ls, at("[::1]:80")); !s.Equal(Seen{at("[::1]:80"), []uint64{5, 6}}) {
		t.Errorf("got %+v", s)
	}
}

// FuzzParseSeen checks that an accepted text is what a worker would send.
func FuzzParseSeen(f *testing.F) {
	f.Add("127.0.0.1:4000 1 fe\n")
	f.Add("[::1]:1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := ParseSeen(text); ok && s.Encode() != text {
			t.Errorf("%q is %+v, which is sent as %q", text, s, s.Encode())
		}
	})
}
