// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"net/netip"
	"sync"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// maxScans bounds the scans of /proc/net/tcp at a time. One takes up to 50 ms of a
// processor if there are ten thousand sockets.
const maxScans = 4

// scanners ask /proc where sock_diag is refused. A scan would stop the loop for
// milliseconds, so other goroutines make it.
type scanners struct {
	bell int

	mu      sync.Mutex
	wanted  []scan
	running int
	done    []scan
}

// scan is the question about one connection, and the answer.
type scan struct {
	slot, mark int32
	life       proven.Life // without its pidfd, which the loop may close meanwhile
	ours       netip.AddrPort
	finding    proven.Finding
}

// scan asks about a connection. The answer comes with the bell.
func (l *Loop) scan(c *conn) {
	if !l.watchBoth(c) {
		return
	}
	c.scanned = true
	q := scan{life: *l.life, ours: c.ours}
	q.life.PIDFD = -1
	q.slot, q.mark = c.key(gatewaySide)
	l.scans.ask(q)
}

func (s *scanners) ask(q scan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = append(s.wanted, q)
	if s.running < maxScans {
		s.running++
		go s.run()
	}
}

// run answers questions until there is none.
func (s *scanners) run() {
	prover := proven.NewScanner()
	for {
		s.mu.Lock()
		if len(s.wanted) == 0 {
			s.running--
			s.mu.Unlock()
			return
		}
		q := s.wanted[0]
		s.wanted = s.wanted[1:]
		s.mu.Unlock()
		q.finding = prover.Look(&q.life, q.ours)
		s.mu.Lock()
		s.done = append(s.done, q)
		s.mu.Unlock()
		sys.Ring(s.bell)
	}
}

// takeScans acts on the answers. A client, its connection or the life may be another one
// by now.
func (l *Loop) takeScans() {
	l.scans.mu.Lock()
	done := l.scans.done
	l.scans.done = nil
	l.scans.mu.Unlock()
	for _, q := range done {
		c, _ := l.find(q.slot, q.mark)
		if c == nil || c.state != proving || !c.scanned || c.ours != q.ours {
			continue
		}
		c.scanned = false
		switch {
		case l.life == nil || l.life.Generation != q.life.Generation || l.life.Addr != q.life.Addr || l.life.UID != q.life.UID:
			l.waitAgain(c)
		case l.life.Ended():
			l.judge(c, proven.Finding{Verdict: proven.Ended})
		default:
			l.judge(c, q.finding)
		}
	}
}
