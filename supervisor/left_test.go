// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// remains is a process that leaves another one behind in its group.
type remains struct {
	signalled
	saves  time.Duration // the other one ends so long after SIGTERM; 0: only SIGKILL ends it
	ends   time.Time     // zero: it lives on
	old    error         // the kernel's refusal
	closed bool
}

func (p *remains) SignalGroup(sig syscall.Signal) error { return p.send(sig) }
func (p *remains) Close()                               { p.closed = true }

func (p *remains) SignalRest(sig syscall.Signal) error {
	if p.old != nil {
		return p.old
	}
	if !p.ends.IsZero() && !time.Now().Before(p.ends) {
		return syscall.ESRCH
	}
	return p.send(sig)
}

func (p *remains) send(sig syscall.Signal) error {
	if sig != 0 {
		p.got = append(p.got, sig)
	}
	switch {
	case sig == syscall.SIGKILL:
		p.ends = time.Now()
	case sig == syscall.SIGTERM && p.saves > 0:
		p.ends = time.Now().Add(p.saves)
	}
	return nil
}

// reaps lets the loop reap c's process.
func (d *fixture) reaps(c *child) {
	d.children[c.pid()] = c
	ended := []int{c.pid()}
	d.kernel.peek = func() (int, error) {
		if len(ended) == 0 {
			return 0, nil
		}
		return ended[0], nil
	}
	d.kernel.reap = func(pid int) (sys.Exit, error) {
		ended = nil
		return sys.Exit{PID: pid}, nil
	}
	d.reap()
}

// TestLeftBehind checks the grace of the processes that a sidecar leaves behind, which
// signals they get, and that the sidecar starts again only when they are gone.
func TestLeftBehind(t *testing.T) {
	told, killed := []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT}, syscall.SIGKILL
	for name, c := range map[string]struct {
		saves   time.Duration
		grace   time.Duration
		stopped time.Duration // the sidecar ends so long after a stop; 0: by itself
		doomed  bool          // it did not end within its own grace
		token   bool
		got     []syscall.Signal
		again   time.Duration // the next start is so long after its end
	}{
		"quick":         {time.Millisecond, 7 * time.Second, 0, false, false, told, time.Second},
		"slow":          {3 * time.Second, 7 * time.Second, 0, false, false, told, 3 * time.Second},
		"stubborn":      {0, 7 * time.Second, 0, false, false, append(told, killed), 8 * time.Second},
		"long-grace":    {0, time.Hour, 0, false, false, append(told, killed), 31 * time.Second},
		"stopped":       {6 * time.Second, 7 * time.Second, 5 * time.Second, false, false, told, time.Second},
		"stop-stubborn": {0, 7 * time.Second, 5 * time.Second, false, false, append(told, killed), 3 * time.Second},
		"stop-long":     {0, time.Hour, time.Minute, false, false, append(told, killed), time.Hour - time.Minute + time.Second},
		"killed":        {0, 7 * time.Second, 8 * time.Second, true, false, append(told, killed, killed), 0},
		"has-the-token": {3 * time.Second, 7 * time.Second, 0, false, true, []syscall.Signal{killed}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFixture(t).running()
				d.g.StopGrace = c.grace
				s, p := d.beside("always"), &remains{saves: c.saves}
				if c.token {
					s.launch.Spec.Token = &launch.Token{}
				}
				s.child = &child{role: roleSidecar, sidecar: s, proc: p, started: time.Now(), reported: true, group: s.fate()}
				if c.stopped > 0 {
					d.stopSidecars()
					time.Sleep(c.stopped)
				}
				if c.doomed {
					d.elapsed(sidecarTimer)
				}
				d.reaps(s.child)
				ended := time.Now()
				s.wanted = true
				for {
					step, again := s.next(time.Now(), true, func() bool { return true })
					if step == sidecarStarts {
						break
					}
					if step == sidecarIsKilled {
						s.kill()
						again = s.due
					}
					if d.fill(); s.left != nil && !strings.Contains(d.rec.Sidecars[0].Detail, "left behind") {
						t.Errorf("status says %+v", d.rec.Sidecars[0])
					}
					time.Sleep(time.Until(again))
				}
				if took := time.Since(ended); took < c.again || took > c.again+leftPause {
					t.Errorf("it starts again after %v", took)
				}
				if !slices.Equal(p.got, c.got) || !p.closed {
					t.Errorf("they got %v, closed %v", p.got, p.closed)
				}
				said := strings.Contains(d.log.String(), "that the sidecar left behind did not end")
				if want := slices.Contains(c.got, killed) && !c.doomed && !c.token; said != want {
					t.Errorf("the log says that they were killed: %v", said)
				}
			})
		})
	}
}

// TestLeftBehindOnOldKernels checks that a group that could not be signaled later is
// killed before its leader is reaped, and that one log line says so.
func TestLeftBehindOnOldKernels(t *testing.T) {
	d := newFixture(t).running()
	for range 2 {
		s, p := d.beside("always"), &remains{old: syscall.EINVAL}
		s.child = &child{role: roleSidecar, sidecar: s, proc: p, started: time.Now(), reported: true, group: s.fate()}
		d.reaps(s.child)
		if !slices.Equal(p.got, []syscall.Signal{syscall.SIGKILL}) || !p.closed || s.left != nil || s.child != nil {
			t.Errorf("they got %v, closed %v", p.got, p.closed)
		}
	}
	if n := strings.Count(d.log.String(), `"event":"no-grace"`); n != 1 {
		t.Errorf("logged %d times: %s", n, d.log.String())
	}
}

// TestLeftBehindOfALaunch checks a sidecar that was told to end before its re-exec child
// had answered, and ended before the signal was sent. The others must get it.
func TestLeftBehindOfALaunch(t *testing.T) {
	d := newFixture(t).running()
	s, p := d.beside("always"), &remains{}
	c := &child{role: roleSidecar, sidecar: s, proc: p, started: time.Now(), group: s.fate()}
	s.child = c
	d.stopSidecars()
	d.reaps(c)
	if len(p.got) > 0 {
		t.Fatalf("before the answer they got %v", p.got)
	}
	d.answered(answer{c, "", nil})
	if want := []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT}; !slices.Equal(p.got, want) || s.left != c {
		t.Errorf("they got %v", p.got)
	}
}
