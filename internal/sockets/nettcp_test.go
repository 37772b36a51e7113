// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

const tcpHeading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// tcpLine returns a line as the kernel prints it (net/ipv4/tcp_ipv4.c).
func tcpLine(s Socket) string {
	return fmt.Sprintf("   0: %s %s %02X 00000000:00000000 00:00000000 00000000 %5d        0 %d 1 0 100 0 0 10 0\n",
		tcpAddr(s.Local), tcpAddr(s.Remote), s.State, s.UID, s.Inode)
}

func tcpAddr(a netip.AddrPort) string {
	var b strings.Builder
	raw := a.Addr().AsSlice()
	for i := 0; i < len(raw); i += 4 {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(raw[i:]))
	}
	fmt.Fprintf(&b, ":%04X", a.Port())
	return b.String()
}

// TestParseNetTCPLine checks columns. A misread one gives a socket to another user.
func TestParseNetTCPLine(t *testing.T) {
	for name, c := range map[string]struct{ local, remote string }{
		"v4":       {"127.0.0.1:18789", "0.0.0.0:0"},
		"v4-peer":  {"127.0.0.1:18789", "10.1.2.3:65535"},
		"v6":       {"[::1]:18789", "[::]:0"},
		"v6-whole": {"[2001:db8:1:2:3:4:5:6]:1", "[fe80::1]:2"},
		"mapped":   {"[::ffff:127.0.0.1]:18789", "[::ffff:127.0.0.1]:40000"},
	} {
		t.Run(name, func(t *testing.T) {
			want := Socket{netip.MustParseAddrPort(c.local), netip.MustParseAddrPort(c.remote), Listening, 4294967294, 1 << 40, 0, false}
			got, err := parseNetTCPLine([]byte(tcpLine(want)), want.Local.Addr().Is6())
			if err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
	// As printed by a little-endian kernel.
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		s, err := parseNetTCPLine([]byte("   1: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000  9001        0 31337 1"), false)
		if err != nil || s.Local.String() != "127.0.0.1:18789" || s.UID != 9001 || s.Inode != 31337 {
			t.Errorf("got %+v, %v", s, err)
		}
	}
}

func TestParseNetTCPLineRefuses(t *testing.T) {
	good := tcpLine(Socket{netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("0.0.0.0:0"), Listening, 9001, 5, 0, false})
	for name, c := range map[string]struct {
		line string
		v6   bool
	}{
		"empty":       {"", false},
		"short":       {strings.Join(strings.Fields(good)[:9], " "), false},
		"other-table": {good, true},
		"no-port":     {strings.Replace(good, ":0050", "", 1), false},
		"long-port":   {strings.Replace(good, ":0050", ":00050", 1), false},
		"not-hex":     {strings.Replace(good, "0100007F", "0100007G", 1), false},
		"state":       {strings.Replace(good, " 0A ", " 10A ", 1), false},
		"uid":         {strings.Replace(good, " 9001 ", " 4294967296 ", 1), false},
		"uid-minus":   {strings.Replace(good, " 9001 ", " -1 ", 1), false},
		"inode":       {strings.Replace(good, " 5 1 ", " x 1 ", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseNetTCPLine([]byte(c.line), c.v6); !errors.Is(err, errNetTCP) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestScanSockets checks that a masked table, or half a table, proves nothing.
func TestScanSockets(t *testing.T) {
	one := Socket{netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("0.0.0.0:0"), Listening, 9001, 5, 0, false}
	other := one
	other.Local = netip.MustParseAddrPort("127.0.0.1:81")
	for name, c := range map[string]struct {
		text string
		want int // -1: refused
	}{
		"empty-table": {tcpHeading, 0},
		"one":         {tcpHeading + tcpLine(other) + tcpLine(one), 1},
		"masked":      {"", -1},
		"no-heading":  {tcpLine(one), -1},
		"bad-line":    {tcpHeading + tcpLine(one) + "x\n", -1},
		"long-line":   {tcpHeading + strings.Repeat("x", 5000) + "\n", -1},
		"at-bound":    {tcpHeading + strings.Repeat(tcpLine(one), maxSocket), maxSocket},
		"others":      {tcpHeading + strings.Repeat(tcpLine(other), 2*maxSocket) + tcpLine(one), 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := scanSockets(strings.NewReader(c.text), false, func(s Socket) bool { return s.Local.Port() == 80 }, nil)
			if c.want < 0 && (err == nil || got != nil) {
				t.Errorf("accepted with %d sockets", len(got))
			}
			if c.want >= 0 && (err != nil || len(got) != c.want) {
				t.Errorf("%d sockets, %v; want %d", len(got), err, c.want)
			}
		})
	}
}

// TestScanSocketsBound checks that the first sockets are known where there are too many.
func TestScanSocketsBound(t *testing.T) {
	text := tcpHeading + strings.Repeat(tcpLine(v4Socket), maxSocket+1)
	if got, err := scanSockets(strings.NewReader(text), false, every, nil); !errors.Is(err, ErrMany) || len(got) != maxSocket {
		t.Errorf("%d sockets, %v", len(got), err)
	}
}

// FuzzParseNetTCP checks that the line of an accepted socket parses to the same.
func FuzzParseNetTCP(f *testing.F) {
	f.Add([]byte(tcpLine(Socket{netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("0.0.0.0:0"), Listening, 9001, 5, 0, false})), false)
	f.Add([]byte(tcpLine(Socket{netip.MustParseAddrPort("[::1]:80"), netip.MustParseAddrPort("[::]:0"), Established, 0, 0, 0, false})), true)
	f.Add([]byte(tcpHeading), false)
	f.Fuzz(func(t *testing.T, line []byte, v6 bool) {
		s, err := parseNetTCPLine(line, v6)
		if err != nil {
			return
		}
		if s.Local.Addr().Is6() != v6 || s.Remote.Addr().Is6() != v6 {
			t.Fatalf("%+v is of the other family", s)
		}
		again, err := parseNetTCPLine([]byte(tcpLine(s)), v6)
		if err != nil || again != s {
			t.Fatalf("%+v came back as %+v, %v", s, again, err)
		}
	})
}
