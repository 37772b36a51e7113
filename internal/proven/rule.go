// SPDX-License-Identifier: Apache-2.0

package proven

import (
	"net/netip"
	"slices"

	"github.com/gateway-init/gateway-init/internal/sockets"
)

// Verdict is the result of one look at a connection.
type Verdict uint8

// The verdicts. Only Proven lets a byte flow, in either direction.
const (
	Again   Verdict = iota // it is not known yet: look again
	Proven                 // the other end is the gateway's
	Foreign                // another user's socket has the other end, or receives connections
	Unknown                // the gateway's user listens with a socket that is not in the life: prove it again
	Ended                  // the gateway's process has ended
	Failed                 // the kernel cannot be asked
)

var verdictText = [...]string{"it is not known yet", "proven", "another user's socket", "a listener that was not there before", "the gateway has ended", "the kernel cannot be asked"}

// String returns the verdict in words.
func (v Verdict) String() string {
	if int(v) < len(verdictText) {
		return verdictText[v]
	}
	return "unknown"
}

// Finding is a verdict, with the other user's uid if it is Foreign. With Again, Mute
// means that the kernel gave no answer. With Foreign, Aside means that the listener is
// the gateway's and only this connection leads elsewhere, by a simultaneous open. A
// connection from another address may lead to the gateway then.
type Finding struct {
	Verdict Verdict
	UID     uint32
	Mute    bool
	Aside   bool
}

// answer is what the kernel said to one lookup. found is false for ENOENT.
type answer struct {
	sockets.Socket
	found bool
}

// judgeListener decides about the socket that the kernel finds for a new connection to
// the gateway. It is asked after the connect, so a listener with a known cookie was
// there before it, and stayed.
func (l *Life) judgeListener(a answer) Finding {
	switch {
	case !a.found, a.State != sockets.Listening, !Covers(a.Local, l.Addr):
		return Finding{}
	case a.UID != l.UID && !l.Passed:
		return Finding{Verdict: Foreign, UID: a.UID}
	case !l.knows(a.Cookie):
		return Finding{Verdict: Unknown}
	}
	return Finding{Verdict: Proven}
}

// judgeListeners does the same for a life with several listeners (SO_REUSEPORT). The
// kernel chooses one by the client's port, so each that it could choose must be known.
func (l *Life) judgeListeners(all []sockets.Socket) Finding {
	f := Finding{}
	for _, s := range all {
		if s.V6Only && l.Addr.Addr().Is4() {
			continue
		}
		switch got := l.judgeListener(answer{s, true}); got.Verdict {
		case Foreign:
			return got
		case Proven:
			if f.Verdict == Again {
				f = got
			}
		case Unknown:
			f = got
		}
	}
	return f
}

// judgeChild decides about the socket that the kernel finds for the gateway's end of
// the connection from client. The kernel answers with a listener if there is no such
// connection yet, so every field counts.
//
// A connection that is not accepted has no inode. Its uid is the listener's from Linux
// 6.17 on, and 0 before. It is the listener's, which judgeListener has found to be the
// gateway's: close(2) changes the state before a socket loses its inode, and the agent's
// own socket, with which it could answer by a simultaneous open, has an inode. (A closed
// MPTCP socket may be an exception. No process can read what comes to it.)
func (l *Life) judgeChild(client netip.AddrPort, a answer) Finding {
	switch {
	case !a.found, !sameEnd(a.Local, l.Addr), !sameEnd(a.Remote, client),
		a.State != sockets.Established && a.State != sockets.CloseWait:
		return Finding{}
	case a.UID == l.UID, a.Inode == 0 && a.UID == 0:
		return Finding{Verdict: Proven}
	}
	return Finding{Verdict: Foreign, UID: a.UID}
}

// judgeRow is judgeChild for a line of /proc/net/tcp, where no listener was looked at.
// So the connection must be accepted.
func (l *Life) judgeRow(client netip.AddrPort, a answer) Finding {
	if a.Inode == 0 {
		return Finding{}
	}
	return l.judgeChild(client, a)
}

func (l *Life) knows(cookie uint64) bool { return cookie != 0 && slices.Contains(l.Cookies, cookie) }

// sameEnd reports whether two addresses are one. Those of a dual-stack server are
// mapped.
func sameEnd(a, b netip.AddrPort) bool { return unmap(a) == unmap(b) }

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
