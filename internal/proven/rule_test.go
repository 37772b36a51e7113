// SPDX-License-Identifier: Apache-2.0

package proven

import (
	"net/netip"
	"testing"

	"github.com/gateway-init/gateway-init/internal/sockets"
)

// Uids and sockets of these tables.
const (
	gateway = 2001
	agent   = 2002
	cookie  = 1<<40 + 7
	inode   = 170087
)

var (
	server   = netip.MustParseAddrPort("127.0.0.1:18789")
	client   = netip.MustParseAddrPort("127.0.0.1:40000")
	nowhere  = netip.MustParseAddrPort("0.0.0.0:0")
	theLife  = Life{Generation: 1, Addr: server, UID: gateway, Cookies: []uint64{cookie}, PIDFD: -1}
	listener = sockets.Socket{Local: server, Remote: nowhere, State: sockets.Listening, UID: gateway, Inode: inode, Cookie: cookie}
	child    = sockets.Socket{Local: server, Remote: client, State: sockets.Established, UID: gateway, Inode: inode, Cookie: cookie + 1}
)

func mapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// with returns a copy of s that was changed.
func with(s sockets.Socket, change func(*sockets.Socket)) answer {
	change(&s)
	return answer{s, true}
}

// Invariant I9. TestJudgeListener checks every answer that a kernel gives to the first
// lookup.
func TestJudgeListener(t *testing.T) {
	for name, c := range map[string]struct {
		got  answer
		want Finding
	}{
		"ours":           {with(listener, func(*sockets.Socket) {}), Finding{Verdict: Proven}},
		"wildcard":       {with(listener, func(s *sockets.Socket) { s.Local = netip.MustParseAddrPort("0.0.0.0:18789") }), Finding{Verdict: Proven}},
		"dual-stack":     {with(listener, func(s *sockets.Socket) { s.Local = netip.MustParseAddrPort("[::]:18789") }), Finding{Verdict: Proven}},
		"mapped":         {with(listener, func(s *sockets.Socket) { s.Local = mapped(server) }), Finding{Verdict: Proven}},
		"none":           {answer{}, Finding{}},
		"other-port":     {with(listener, func(s *sockets.Socket) { s.Local = client }), Finding{}},
		"other-address":  {with(listener, func(s *sockets.Socket) { s.Local = netip.MustParseAddrPort("127.0.0.2:18789") }), Finding{}},
		"stranger":       {with(listener, func(s *sockets.Socket) { s.UID = agent }), Finding{Verdict: Foreign, UID: agent}},
		"root":           {with(listener, func(s *sockets.Socket) { s.UID = 0 }), Finding{Verdict: Foreign}},
		"unmapped-uid":   {with(listener, func(s *sockets.Socket) { s.UID = 65534 }), Finding{Verdict: Foreign, UID: 65534}},
		"other-cookie":   {with(listener, func(s *sockets.Socket) { s.Cookie++ }), Finding{Verdict: Unknown}},
		"high-half-only": {with(listener, func(s *sockets.Socket) { s.Cookie &^= 1<<32 - 1 }), Finding{Verdict: Unknown}},
		"no-cookie":      {with(listener, func(s *sockets.Socket) { s.Cookie = 0 }), Finding{Verdict: Unknown}},
		"stranger-with-our-cookie": {with(listener, func(s *sockets.Socket) { s.UID, s.Inode = agent, 0 }),
			Finding{Verdict: Foreign, UID: agent}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := theLife.judgeListener(c.got); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	for state := range uint8(16) {
		if got := theLife.judgeListener(with(listener, func(s *sockets.Socket) { s.State = state })); (got.Verdict == Proven) != (state == sockets.Listening) {
			t.Errorf("state %d: %+v", state, got)
		}
	}
	noCookie := theLife
	noCookie.Cookies = []uint64{0} // of a PID 1 that could read only /proc
	if got := noCookie.judgeListener(with(listener, func(s *sockets.Socket) { s.Cookie = 0 })); got.Verdict == Proven {
		t.Error("no cookie is a proof of no cookie")
	}
}

// TestJudgeListeners checks a life with several listeners: one unknown listener that the
// kernel could choose is enough to refuse.
func TestJudgeListeners(t *testing.T) {
	workers := theLife
	workers.Cookies = []uint64{cookie, cookie + 1, cookie + 2}
	worker := func(n uint64) sockets.Socket {
		return with(listener, func(s *sockets.Socket) { s.Cookie = cookie + n }).Socket
	}
	foreign := with(listener, func(s *sockets.Socket) { s.UID = agent }).Socket
	any6 := with(foreign, func(s *sockets.Socket) { s.Local = netip.MustParseAddrPort("[::]:18789") }).Socket
	only6 := with(any6, func(s *sockets.Socket) { s.V6Only = true }).Socket
	aside := with(foreign, func(s *sockets.Socket) { s.Local = netip.MustParseAddrPort("127.0.0.2:18789") }).Socket
	for name, c := range map[string]struct {
		all  []sockets.Socket
		want Finding
	}{
		"all":                {[]sockets.Socket{worker(0), worker(1), worker(2)}, Finding{Verdict: Proven}},
		"one-has-ended":      {[]sockets.Socket{worker(2)}, Finding{Verdict: Proven}},
		"none":               {nil, Finding{}},
		"one-more-first":     {[]sockets.Socket{worker(9), worker(0)}, Finding{Verdict: Unknown}},
		"one-more-last":      {[]sockets.Socket{worker(0), worker(9)}, Finding{Verdict: Unknown}},
		"stranger-last":      {[]sockets.Socket{worker(0), worker(9), foreign}, Finding{Verdict: Foreign, UID: agent}},
		"stranger-first":     {[]sockets.Socket{foreign, worker(0)}, Finding{Verdict: Foreign, UID: agent}},
		"dual-stack-beside":  {[]sockets.Socket{worker(0), any6}, Finding{Verdict: Foreign, UID: agent}},
		"v6-alone-beside":    {[]sockets.Socket{only6, worker(0)}, Finding{Verdict: Proven}},
		"other-address":      {[]sockets.Socket{aside, worker(0)}, Finding{Verdict: Proven}},
		"only-other-address": {[]sockets.Socket{aside}, Finding{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := workers.judgeListeners(c.all); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	six := workers
	six.Addr = netip.MustParseAddrPort("[::1]:18789")
	if got := six.judgeListeners([]sockets.Socket{only6}); got.Verdict != Foreign {
		t.Errorf("an IPv6 listener for IPv6: %+v", got)
	}
}

// Invariant I9. TestJudgeChild checks every answer that a kernel gives to the second
// lookup, before and after Linux 6.17.
func TestJudgeChild(t *testing.T) {
	for name, c := range map[string]struct {
		got  answer
		want Finding
	}{
		"accepted":                {with(child, func(*sockets.Socket) {}), Finding{Verdict: Proven}},
		"accepted-by-a-stranger":  {with(child, func(s *sockets.Socket) { s.UID = agent }), Finding{Verdict: Foreign, UID: agent}},
		"accepted-by-root":        {with(child, func(s *sockets.Socket) { s.UID = 0 }), Finding{Verdict: Foreign}},
		"accepted-unmapped":       {with(child, func(s *sockets.Socket) { s.UID = 65534 }), Finding{Verdict: Foreign, UID: 65534}},
		"not-accepted-since-6.17": {with(child, func(s *sockets.Socket) { s.Inode = 0 }), Finding{Verdict: Proven}},
		"not-accepted-before":     {with(child, func(s *sockets.Socket) { s.Inode, s.UID = 0, 0 }), Finding{Verdict: Proven}},
		"not-accepted-stranger":   {with(child, func(s *sockets.Socket) { s.Inode, s.UID = 0, agent }), Finding{Verdict: Foreign, UID: agent}},
		"mapped":                  {with(child, func(s *sockets.Socket) { s.Local, s.Remote = mapped(server), mapped(client) }), Finding{Verdict: Proven}},
		"none":                    {answer{}, Finding{}},
		"the-listener":            {answer{listener, true}, Finding{}},
		"wildcard-listener":       {with(listener, func(s *sockets.Socket) { s.Local = netip.MustParseAddrPort("[::]:18789") }), Finding{}},
		"other-client-port":       {with(child, func(s *sockets.Socket) { s.Remote = netip.MustParseAddrPort("127.0.0.1:40001") }), Finding{}},
		"other-client":            {with(child, func(s *sockets.Socket) { s.Remote = netip.MustParseAddrPort("127.0.0.2:40000") }), Finding{}},
		"other-server":            {with(child, func(s *sockets.Socket) { s.Local = netip.MustParseAddrPort("127.0.0.2:18789") }), Finding{}},
		"turned-around":           {with(child, func(s *sockets.Socket) { s.Local, s.Remote = client, server }), Finding{}},
		"other-family": {with(child, func(s *sockets.Socket) {
			s.Local, s.Remote = netip.MustParseAddrPort("[::1]:18789"), netip.MustParseAddrPort("[::1]:40000")
		}), Finding{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := theLife.judgeChild(client, c.got); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestJudgeChildTable goes through all states, uids and inodes. A state that is not in
// the rule never proves anything, and never accuses anybody.
func TestJudgeChildTable(t *testing.T) {
	for state := range uint8(16) {
		for _, uid := range []uint32{0, gateway, agent, 65534} {
			for _, inode := range []uint64{0, 1, inode} {
				a := with(child, func(s *sockets.Socket) { s.State, s.UID, s.Inode = state, uid, inode })
				want := Again
				if state == sockets.Established || state == sockets.CloseWait {
					want = Foreign
					if uid == gateway || uid == 0 && inode == 0 {
						want = Proven
					}
				}
				if got := theLife.judgeChild(client, a); got.Verdict != want {
					t.Errorf("state %d, uid %d, inode %d: %v, want %v", state, uid, inode, got.Verdict, want)
				}
				if got := theLife.judgeRow(client, a).Verdict; inode == 0 && got != Again || inode != 0 && got != want {
					t.Errorf("a line of /proc/net/tcp, state %d, uid %d, inode %d: %v", state, uid, inode, got)
				}
			}
		}
	}
}
