// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// nobody is a pid above every limit, so a signal to it reaches no process.
const nobody = 1 << 30

// beside adds a running sidecar.
func (d *fixture) beside(restart string) *sidecar {
	c := newSidecar(config.Sidecar{Name: "side", Restart: restart}, launch.Child{UID: 9002}, d.c.Log)
	c.wanted, c.rec.State, c.rec.PID = true, "running", nobody
	c.child = &child{proc: &launch.Proc{PID: nobody}, started: time.Now()}
	d.sidecars.list = append(d.sidecars.list, c)
	return c
}

// ends reports the end of c's process.
func (d *fixture) ends(c *sidecar, code int, err error) {
	c.child.exit, c.child.err = &sys.Exit{PID: nobody, Status: unix.WaitStatus(code << 8)}, err
	d.sidecarEnded(c)
}

// TestSidecarDone checks that a one-shot that failed is not called done, and that one
// that we ended is not called a failure.
func TestSidecarDone(t *testing.T) {
	refused := errors.New("token-failed")
	for name, c := range map[string]struct {
		restart  string
		code     int
		err      error
		asked    bool
		state    string
		wanted   bool
		restarts int
		delay    time.Duration
	}{
		"always-0":         {"always", 0, nil, false, "backoff", true, 1, time.Second},
		"always-1":         {"always", 1, nil, false, "backoff", true, 1, time.Second},
		"one-shot-0":       {"on-failure", 0, nil, false, "done", false, 0, 0},
		"one-shot-1":       {"on-failure", 1, nil, false, "backoff", true, 1, time.Second},
		"one-shot-no-exec": {"on-failure", 126, refused, false, "failed", true, 1, time.Second},
		"never-0":          {"never", 0, nil, false, "stopped", false, 0, 0},
		"never-1":          {"never", 1, nil, false, "stopped", false, 0, 0},
		"asked-0":          {"on-failure", 0, nil, true, "stopped", true, 0, 0},
		"asked-1":          {"always", 1, nil, true, "stopped", true, 0, 0},
		"asked-never":      {"never", 0, nil, true, "stopped", true, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFixture(t)
				s := d.beside(c.restart)
				s.child.asked, s.killAt = c.asked, time.Now()
				d.ends(s, c.code, c.err)
				delay := time.Duration(0)
				if !s.due.IsZero() {
					delay = time.Until(s.due)
				}
				if s.rec.State != c.state || s.wanted != c.wanted || s.rec.Restarts != c.restarts || delay != c.delay {
					t.Errorf("%s, wanted %v, %d restarts, again in %v", s.rec.State, s.wanted, s.rec.Restarts, delay)
				}
				if s.child != nil || !s.killAt.IsZero() || s.rec.PID != 0 || s.rec.Detail == "" {
					t.Errorf("left: %+v", s)
				}
			})
		})
	}
}

// TestSidecarBackoff checks that success forgets a one-shot's failures.
func TestSidecarBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		s := d.beside("on-failure")
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			d.ends(s, 1, nil)
			if got := time.Until(s.due); got != want*time.Second {
				t.Errorf("failure %d: again in %v", i+1, got)
			}
			s.child = &child{proc: &launch.Proc{PID: nobody}, started: time.Now()}
		}
		d.ends(s, 0, nil)
		s.child = &child{proc: &launch.Proc{PID: nobody}, started: time.Now()}
		d.ends(s, 1, nil)
		if got := time.Until(s.due); got != time.Second {
			t.Errorf("after a success: again in %v", got)
		}
	})
}

// TestSidecarGrace checks that a sidecar that ignores its stop signal has one grace
// for all restarts, and is not kept by the next gateway.
func TestSidecarGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t).running()
		s := d.beside("always")
		d.stopSidecars()
		told := time.Now()
		time.Sleep(3 * time.Second)
		d.wantsSidecars() // the next gateway is there
		d.stopSidecars()  // and is restarted too
		d.wantsSidecars()
		if got := s.killAt.Sub(told); got != 7*time.Second || !s.child.asked || !s.wanted {
			t.Fatalf("it has %v, asked %v, wanted %v", got, s.child.asked, s.wanted)
		}
		kinds, after := fired(d.timers)
		if len(kinds) != 1 || kinds[0] != sidecarTimer || after[0] != 4*time.Second {
			t.Fatalf("armed: %v after %v", kinds, after)
		}
		d.elapsed(sidecarTimer)
		if !strings.Contains(d.log.String(), `"event":"killed"`) || !strings.Contains(d.log.String(), `"origin":"side"`) || d.timers.armed(sidecarTimer) {
			t.Errorf("logged %s", d.log.String())
		}
		// A sidecar that we may not kill is told again, with another grace.
		if d.stopSidecars(); time.Until(s.killAt) != 7*time.Second {
			t.Errorf("told again it has %v", time.Until(s.killAt))
		}
		// It is reaped, and its re-exec child has not answered. There is nothing to
		// do until then, so no timer is armed.
		s.child.exit = &sys.Exit{}
		time.Sleep(time.Minute)
		if d.wantsSidecars(); d.timers.armed(sidecarTimer) {
			t.Error("the loop spins")
		}
		if s.child == nil || s.rec.State != "running" {
			t.Error("another one was started beside it, or it was forgotten")
		}
	})
}

// TestSidecarsMayStart checks when sidecars may start. Those of the gateway's user
// came back in the middle of a crash loop, and the next try swept them again.
func TestSidecarsMayStart(t *testing.T) {
	for name, c := range map[string]struct {
		phase  phase
		drain  time.Duration
		proven bool
		want   bool
	}{
		"running":           {phaseRunning, 0, true, true},
		"draining":          {phaseRestarting, time.Minute, true, true},
		"stopping":          {phaseRestarting, 0, true, false},
		"unproven-draining": {phaseRestarting, time.Minute, false, false},
		"starting":          {phaseStarting, 0, false, false},
		"backoff":           {phaseBackingOff, 0, false, false},
		"stopped":           {phaseStopped, 0, false, false},
		"ending":            {phaseShuttingDown, 0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFixture(t)
				s := d.beside("always")
				if d.unit.phase, d.unit.drain = c.phase, c.drain; c.proven {
					d.unit.start.proven = time.Now()
				}
				d.ends(s, 1, nil)
				if d.timers.armed(sidecarTimer) != c.want {
					t.Errorf("it is started again: %v", !c.want)
				}
				d.fill()
				if got := d.rec.Sidecars[0].State; got != map[bool]string{true: "backoff", false: "waiting"}[c.want] {
					t.Errorf("status says %s", got)
				}
			})
		})
	}
}

// TestSidecarWaits checks that a sidecar that the sweep has ended comes back with the
// gateway, and that one that a stop has ended is stopped.
func TestSidecarWaits(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*fixture)
		want string
	}{
		"swept":   {func(d *fixture) { d.sidecars.expectSweep(d.c.Gateway.UID) }, "waiting"},
		"stopped": {func(d *fixture) { d.stopSidecars() }, "stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t)
			s := d.beside("always")
			s.launch.UID = d.c.Gateway.UID
			c.end(d)
			d.ends(s, 137, nil)
			d.fill()
			if got := d.rec.Sidecars[0]; got.State != c.want || got.Restarts != 0 {
				t.Errorf("status says %+v", got)
			}
		})
	}
}

// fakeSweeper finds no process.
type fakeSweeper struct{}

func (fakeSweeper) Track(func(int) bool, func() procfs.ID) {}
func (fakeSweeper) Note() error                            { return nil }
func (fakeSweeper) Terminate() error                       { return nil }
func (fakeSweeper) Sweep() error                           { return nil }
func (fakeSweeper) Alive() (bool, error)                   { return false, nil }
func (fakeSweeper) Signal(uint32, syscall.Signal)          {}
func (fakeSweeper) Others(uint32) (bool, error)            { return false, nil }

// TestDrainKeepsSidecars checks that sidecars are told to end after a drain, or when
// it is cut short. The draining gateway may need them.
func TestDrainKeepsSidecars(t *testing.T) {
	drained := func(t *testing.T) (*fixture, *sidecar) {
		d := newFixture(t).running()
		d.c.Sweeper = fakeSweeper{}
		d.unit.child = &child{proc: &launch.Proc{PID: nobody}, started: time.Now()}
		s := d.beside("always")
		d.unit.drain = 5 * time.Minute
		d.unit.post(eventRestart)
		d.apply()
		if s.child.asked || !s.wanted || time.Until(d.timers.due[graceTimer]) != 5*time.Minute {
			t.Fatalf("asked %v, wanted %v, grace %v", s.child.asked, s.wanted, time.Until(d.timers.due[graceTimer]))
		}
		time.Sleep(time.Minute)
		return d, s
	}
	left := func(d *fixture) time.Duration { return time.Until(d.timers.due[graceTimer]) }
	for name, c := range map[string]struct {
		do    func(d *fixture)
		grace time.Duration // the gateway's remaining time
		phase phase
	}{
		"gateway-ends":   {func(d *fixture) { d.unit.child.exit = &sys.Exit{}; d.unit.post(eventDied); d.apply() }, 0, phaseStarting},
		"stop":           {func(d *fixture) { d.unit.post(eventStop); d.apply() }, 7 * time.Second, phaseStopping},
		"container-ends": {func(d *fixture) { d.beginShutdown(); d.apply() }, 7 * time.Second, phaseShuttingDown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s := drained(t)
				d.c.Prepare = func() error { return errors.New("not in this test") }
				c.do(d)
				if !s.child.asked || d.unit.drain != 0 || time.Until(s.killAt) != 7*time.Second {
					t.Errorf("asked %v, drain %v, killed in %v", s.child.asked, d.unit.drain, time.Until(s.killAt))
				}
				if c.grace > 0 && (left(d) != c.grace || d.unit.phase != c.phase) {
					t.Errorf("the gateway has %v, phase %v", left(d), d.unit.phase)
				}
				if n := strings.Count(d.log.String(), evStopping); n != 1 {
					t.Errorf("it was told to stop %d times", n)
				}
			})
		})
	}
}

// TestStopDoesNotProlong checks a stop when a drain is nearly over.
func TestStopDoesNotProlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		d.timers.arm(graceTimer, 2*time.Second)
		d.unit.phase = phaseRestarting
		d.unit.post(eventStop)
		d.apply()
		if got := time.Until(d.timers.due[graceTimer]); got != 2*time.Second {
			t.Errorf("it has %v", got)
		}
		d.timers.cancel(graceTimer) // it is being killed already
		d.do(actShortenGrace)
		if d.timers.armed(graceTimer) {
			t.Error("a grace after the kill")
		}
	})
}

// TestRestartInBackoffReplacesSidecars checks that a restart replaces the sidecars
// that outlived a crash, too, because the token may be another one.
func TestRestartInBackoffReplacesSidecars(t *testing.T) {
	d := newFixture(t).serving()
	s := d.beside("always")
	d.unit.phase = phaseBackingOff
	d.request(1, "start")
	d.serve()
	if s.child.asked {
		t.Error("a start ended it")
	}
	d.requests.job, d.requests.state, d.unit.events = nil, requestIdle, nil
	d.request(2, "restart rotate=1")
	d.serve()
	if !s.child.asked || s.killAt.IsZero() {
		t.Error("a restart left it with the old token")
	}
}

// TestPendingSaysWhatIsMissing checks that a sidecar that should run and does not, or
// a one-shot that is not done, has a text. One that is not wanted has none.
func TestPendingSaysWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		restart, state string
		wanted         bool
		text, want     string
	}{
		"runs":              {"always", "running", true, "", ""},
		"waits":             {"always", "waiting", true, "", "node not running"},
		"failed":            {"always", "failed", true, "", "node not running"},
		"stopped-on-demand": {"always", "stopped", false, "", ""},
		"stopped-wanted":    {"always", "stopped", true, "", "node not running"},
		"once-runs":         {"on-failure", "running", true, "", "node not done yet"},
		"once-in-backoff":   {"on-failure", "backoff", true, "", "node not done yet"},
		"once-done":         {"on-failure", "done", false, "", ""},
		"never-runs":        {"never", "running", true, "", ""},
		"never-ended":       {"never", "stopped", false, "", ""},
		"own-text":          {"on-failure", "running", true, "tools not connected yet", "tools not connected yet"},
		"own-text-done":     {"on-failure", "done", false, "tools not connected yet", ""},
	} {
		s := &sidecar{cfg: config.Sidecar{Name: "node", Restart: c.restart, Pending: c.text}, wanted: c.wanted}
		if got := s.pending(c.state); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
