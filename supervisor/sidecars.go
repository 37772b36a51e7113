// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
)

// sidecars owns the processes that run beside the gateway.
type sidecars []*sidecar

// want wishes all of them to run, after the gateway was proven. A sidecar that still
// runs is left alone. If it was told to end, it is replaced once it has ended.
func (l sidecars) want() {
	for _, c := range l {
		c.wanted = true
	}
}

// stop tells all of them to end, each of them once. From then on each has the grace.
func (l sidecars) stop(grace time.Duration, now time.Time) {
	for _, c := range l {
		c.wanted = false
		if c.child.alive() && c.killAt.IsZero() {
			c.child.asked, c.killAt = true, now.Add(grace)
			c.child.signalGroup(syscall.SIGTERM)
		}
	}
}

// expectSweep marks those of the gateway's UID as asked to end, because the sweep is
// about to kill them.
func (l sidecars) expectSweep(uid uint32) {
	for _, c := range l {
		if c.child.alive() && c.launch.UID == uid {
			c.child.asked = true
		}
	}
}

// killHolders kills those that have the token, and returns the name of one of them,
// or "" if there is none.
func (l sidecars) killHolders(why string) (name string, err error) {
	for _, c := range l {
		if !c.hasToken() || !c.child.alive() {
			continue
		}
		name, c.child.asked = c.cfg.Name, true
		c.log.Info().Str("event", evHolderKilled).Int("pid", c.child.pid()).Str("detail", why).Msg("it has the token")
		err = errors.Join(err, c.child.signalGroup(syscall.SIGKILL))
	}
	return name, err
}

func (l sidecars) fill(r *status.Record, mayStart bool) {
	r.Sidecars = make([]status.Child, 0, len(l))
	for _, c := range l {
		r.Sidecars = append(r.Sidecars, c.record(mayStart))
	}
}

// The rest connects the sidecars with the gateway.

// wantSidecars starts all sidecars.
func (s *Supervisor) wantSidecars() {
	s.sidecars.want()
	s.tendSidecars()
}

// stopSidecars tells all sidecars to end.
func (s *Supervisor) stopSidecars() {
	s.sidecars.stop(s.g.StopGrace, time.Now())
	s.tendSidecars()
}

// sidecarsMayStart reports whether the gateway serves or drains. Sidecars may start
// during a drain, because the gateway's remaining work may need them.
func (s *Supervisor) sidecarsMayStart() bool {
	return s.unit.phase == phaseRunning || s.unit.drain > 0 && !s.unit.proven.IsZero()
}

// tendSidecars starts and kills the sidecars that are due, and arms the timer for the
// next one.
func (s *Supervisor) tendSidecars() {
	var first time.Time
	for _, c := range s.sidecars {
		step, again := c.next(time.Now(), s.sidecarsMayStart(), s.portOurs)
		switch step {
		case sidecarStarts:
			s.startSidecar(c)
			again = c.due
		case sidecarIsKilled:
			s.shutdown.killed = s.shutdown.killed || s.shutdown.begun
			c.kill()
		}
		if !again.IsZero() && (first.IsZero() || again.Before(first)) {
			first = again
		}
	}
	s.timers.cancel(sidecarTimer)
	if !first.IsZero() {
		s.timers.arm(sidecarTimer, time.Until(first))
	}
}

func (s *Supervisor) startSidecar(c *sidecar) {
	c.child = &child{group: true, up: func(*child) {}, done: func(*child) { s.sidecarDone(c) }}
	c.begun(s.start(c.launch, c.child), time.Now())
}

func (s *Supervisor) sidecarDone(c *sidecar) {
	s.holderDone(c)
	c.ended()
	s.tendSidecars()
}
