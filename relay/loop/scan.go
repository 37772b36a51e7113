// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"net/netip"
	"sync"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// scanners ask /proc where sock_diag is refused. A scan takes up to 50 ms of a processor
// if there are ten thousand sockets, and would stop the loop for that. So another goroutine
// makes it, one at a time, for all connections that wait for it.
type scanners struct {
	bell int

	mu     sync.Mutex
	wanted []scan
	runs   bool
	done   []scan
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
	if !s.runs {
		s.runs = true
		go s.run()
	}
}

// run answers questions until there is none.
func (s *scanners) run() {
	for batch := s.next(); len(batch) > 0; batch = s.next() {
		clients := make([]netip.AddrPort, len(batch))
		for i, q := range batch {
			clients[i] = q.ours
		}
		for i, f := range proven.Scan(&batch[0].life, clients) {
			batch[i].finding = f
		}
		s.mu.Lock()
		s.done = append(s.done, batch...)
		s.mu.Unlock()
		sys.Ring(s.bell)
	}
}

// next takes the first questions about one life.
func (s *scanners) next() (batch []scan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.wanted) > 0 && len(batch) < proven.MaxScan && (len(batch) == 0 || isSame(&s.wanted[0].life, &batch[0].life)) {
		batch, s.wanted = append(batch, s.wanted[0]), s.wanted[1:]
	}
	s.runs = len(batch) > 0
	return batch
}

// isSame reports whether a question about one life is also one about the other.
func isSame(a, b *proven.Life) bool {
	return a.Generation == b.Generation && a.Addr == b.Addr && a.UID == b.UID
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
		case l.life == nil || !isSame(l.life, &q.life):
			l.waitAgain(c)
		case l.life.Ended():
			l.judge(c, proven.Finding{Verdict: proven.Ended})
		default:
			l.judge(c, q.finding)
		}
	}
}
