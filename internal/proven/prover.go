// SPDX-License-Identifier: Apache-2.0

package proven

import (
	"errors"
	"net/netip"

	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Way is how the kernel is asked.
type Way uint8

// The ways.
const (
	ByDiag  Way = iota // sock_diag(7)
	ByProc             // /proc/net/tcp and tcp6, which cost milliseconds
	Nowhere            // neither is readable: nothing can be proven
)

var wayText = [...]string{"sock_diag", "/proc/net/tcp", "nowhere"}

// String returns the source's name.
func (w Way) String() string { return wayText[min(int(w), len(wayText)-1)] }

// Prover asks the kernel about connections. It is for one goroutine.
type Prover struct {
	asker *sockets.Asker // nil: not by sock_diag
	way   Way
}

// NewProver opens what it takes to ask the kernel. The caller tests the Prover before
// it relies on it.
func NewProver() *Prover {
	asker, err := sockets.NewAsker()
	if err != nil {
		return &Prover{way: ByProc}
	}
	return &Prover{asker: asker}
}

// Way returns how the kernel is asked.
func (p *Prover) Way() Way { return p.way }

// Close closes what NewProver has opened.
func (p *Prover) Close() {
	if p.asker != nil {
		p.asker.Close()
		p.asker = nil
	}
}

// Test looks for a socket that is there: one end of ours, and its peer, or no peer for a
// listener. If sock_diag does not show it, the kernel has no tcp_diag, or a profile
// forbids it, and /proc is read from now on. If that does not show it, nothing does.
func (p *Prover) Test(ours, peer netip.AddrPort) Way {
	if p.way == ByDiag {
		s, ok, err := p.asker.Lookup(ours, peer)
		if err == nil && ok && sameEnd(s.Local, ours) && (!peer.IsValid() || sameEnd(s.Remote, peer)) {
			return p.way
		}
		p.Close()
		p.way = ByProc
	}
	if p.way == ByProc {
		found, err := sockets.Rows(func(s sockets.Socket) bool {
			return sameEnd(s.Local, ours) && (!peer.IsValid() || sameEnd(s.Remote, peer))
		})
		if err != nil || len(found) == 0 {
			p.way = Nowhere
		}
	}
	return p.way
}

// Look looks once at the connection from client, which is our end, to the address of the
// life. Its end of the connection must exist before, so that the answers come after it.
func (p *Prover) Look(l *Life, client netip.AddrPort) Finding {
	if l.Ended() {
		return Finding{Verdict: Ended}
	}
	f := p.look(l, client)
	if f.Verdict == Proven && l.Ended() {
		return Finding{Verdict: Ended}
	}
	return f
}

func (p *Prover) look(l *Life, client netip.AddrPort) Finding {
	switch p.way {
	case ByDiag:
		if f := p.lookAtListeners(l); f.Verdict != Proven {
			return f
		}
		s, ok, err := p.asker.Lookup(l.Addr, client)
		if err != nil {
			return failure(err)
		}
		f := l.judgeChild(client, answer{s, ok})
		f.Aside = f.Verdict == Foreign
		return f
	case ByProc:
		return Scan(l, []netip.AddrPort{client})[0]
	}
	return Finding{Verdict: Failed}
}

// MaxScan is the number of connections that one Scan can look at.
const MaxScan = 512

// Scan looks at several connections by one reading of /proc/net/tcp and tcp6, which costs
// milliseconds however many there are. It does not look at the gateway's process.
func Scan(l *Life, clients []netip.AddrPort) []Finding {
	findings := make([]Finding, len(clients))
	index := make(map[netip.AddrPort]int, len(clients))
	for i, c := range clients {
		index[unmap(c)] = i
	}
	rows, err := sockets.Rows(func(s sockets.Socket) bool {
		_, ok := index[unmap(s.Remote)]
		return ok && sameEnd(s.Local, l.Addr)
	})
	for i := range findings {
		if err != nil {
			findings[i] = failure(err)
		}
	}
	for _, s := range rows {
		if i := index[unmap(s.Remote)]; findings[i].Verdict == Again {
			findings[i] = l.judgeRow(clients[i], answer{s, true})
		}
	}
	return findings
}

// User returns the user and the inode of the socket whose own end is owner and whose peer
// is peer. It is for a client on this machine. ok is false if there is no such socket,
// or if sock_diag is not asked.
func (p *Prover) User(owner, peer netip.AddrPort) (uid uint32, inode uint64, ok bool) {
	if p.way != ByDiag {
		return 0, 0, false
	}
	s, ok, err := p.asker.Lookup(owner, peer)
	if err != nil || !ok || !sameEnd(s.Local, owner) || !sameEnd(s.Remote, peer) {
		return 0, 0, false
	}
	return s.UID, s.Inode, true
}

func (p *Prover) lookAtListeners(l *Life) Finding {
	if len(l.Cookies) == 1 {
		s, ok, err := p.asker.Lookup(l.Addr, netip.AddrPort{})
		if err != nil {
			return failure(err)
		}
		return l.judgeListener(answer{s, ok})
	}
	all, err := p.asker.Listeners(l.Addr.Port(), l.Addr.Addr().Is4())
	if err != nil && !errors.Is(err, sockets.ErrMany) {
		return failure(err)
	}
	f := l.judgeListeners(all)
	if err != nil && f.Verdict == Proven {
		return failure(err) // the others were not seen
	}
	return f
}

// failure returns the finding for an error of the kernel. An interrupted dump or a lack
// of memory may pass.
func failure(err error) Finding {
	if sockets.IsUnavailable(err) {
		return Finding{Verdict: Failed}
	}
	return Finding{Mute: true}
}

// Ended reports whether the gateway's process has ended, whether it was reaped or not.
// Without a pidfd nothing is known.
func (l *Life) Ended() bool { return l.PIDFD >= 0 && sys.IsReadable(l.PIDFD) }
