// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// sidecar is an additional child. Nothing else waits for it, so it may fail at any
// time. It is started when the gateway is proven, and gets its stop signal before
// the gateway does. A sidecar that outlives a crashed gateway is kept, unless it
// has the token (token.go).
type sidecar struct {
	cfg     config.Sidecar
	launch  launch.Child
	child   *child
	wanted  bool
	due     time.Time // earliest next start
	killAt  time.Time // end of its grace after a stop; zero: none is running
	backoff backoff
	rec     status.Child
	log     zerolog.Logger
}

func newSidecar(cfg config.Sidecar, l launch.Child, log zerolog.Logger) *sidecar {
	return &sidecar{cfg: cfg, launch: l, log: withOrigin(log, cfg.Name), rec: status.Child{Name: cfg.Name, State: "waiting", UID: l.UID},
		backoff: backoff{min: time.Second, max: 30 * time.Second, reset: time.Minute}}
}

// wantSidecars starts all sidecars after the gateway was proven. A sidecar that
// still runs is left alone. If it was told to end, it is replaced once it has
// ended.
func (s *Supervisor) wantSidecars() {
	for _, c := range s.sidecars {
		c.wanted = true
	}
	s.startDueSidecars()
}

// stopSidecars tells all sidecars to end, each of them once. From then on a sidecar
// has the gateway's grace.
func (s *Supervisor) stopSidecars() {
	for _, c := range s.sidecars {
		c.wanted = false
		if c.child.alive() && c.killAt.IsZero() {
			c.child.asked, c.killAt = true, time.Now().Add(s.g.StopGrace)
			c.child.signalGroup(syscall.SIGTERM)
		}
	}
	s.startDueSidecars()
}

// sweptSidecars marks the sidecars that have the gateway's UID as asked to end,
// because the sweep is about to kill them.
func (s *Supervisor) sweptSidecars() {
	for _, c := range s.sidecars {
		if c.child.alive() && c.launch.UID == s.c.Gateway.UID && !s.c.Unseparated {
			c.child.asked = true
		}
	}
}

// sidecarsMayStart reports whether the gateway serves or drains. Sidecars may start
// during a drain, because the gateway's remaining work may need them.
func (s *Supervisor) sidecarsMayStart() bool {
	return s.phase == phaseRunning || s.drain > 0 && !s.proven.IsZero()
}

// startDueSidecars starts and kills the sidecars that are due, and arms the timer for
// the next one.
func (s *Supervisor) startDueSidecars() {
	var next time.Time
	for _, c := range s.sidecars {
		if due := s.startDueSidecar(c, time.Now()); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	s.timers.cancel(sidecarTimer)
	if !next.IsZero() {
		s.timers.arm(sidecarTimer, time.Until(next))
	}
}

// startDueSidecar starts or kills c if that is due, and returns the time of the next
// call. The zero time means that c waits for an event and not for a time.
func (s *Supervisor) startDueSidecar(c *sidecar, now time.Time) time.Time {
	switch {
	case c.child.alive():
		if !c.killAt.IsZero() && !c.killAt.After(now) {
			s.killSidecar(c)
		}
		return c.killAt
	case c.child.pending(): // its end is not reported yet, and a sidecar never runs twice
		return time.Time{}
	case !c.wanted || !s.sidecarsMayStart():
		return time.Time{}
	case c.launch.Spec.Token != nil && !c.due.After(now) && !s.portOurs():
		c.rec.Detail = "it has the token, and waits until the gateway alone listens on its port"
		return now.Add(plainRetry)
	case !c.due.After(now):
		s.startSidecar(c)
	}
	return c.due
}

// killSidecar runs once for each stop. If we lack the permission, the next stop tries
// again.
func (s *Supervisor) killSidecar(c *sidecar) {
	s.killed = s.killed || s.shuttingDown
	c.killAt = time.Time{}
	c.log.Warn().Str("event", evKilled).Int("pid", c.child.pid()).Msg("the sidecar did not end within its grace")
	c.child.signalGroup(syscall.SIGKILL)
}

func (s *Supervisor) startSidecar(c *sidecar) {
	s.dirty = true
	c.child = &child{group: true, up: func(*child) {}, done: func(*child) { s.sidecarDone(c) }}
	if err := s.start(c.launch, c.child); err != nil {
		c.child = nil
		c.rec.State, c.rec.Detail = "failed", err.Error()
		c.due = time.Now().Add(c.backoff.max)
		return
	}
	c.due = time.Time{}
	c.rec.State, c.rec.PID, c.rec.Detail = "running", c.child.pid(), ""
	c.log.Info().Str("event", evSidecarStarted).Int("pid", c.child.pid()).Msg("")
}

func (s *Supervisor) sidecarDone(c *sidecar) {
	s.holderDone(c)
	was, code := c.child, c.child.exit.Code()
	c.child, c.killAt, s.dirty = nil, time.Time{}, true
	c.rec.State, c.rec.PID, c.rec.Detail = "stopped", 0, "ended with exit code "+formatInt(code)
	if was.err != nil {
		c.rec.State, c.rec.Detail = "failed", was.err.Error()
	}
	c.log.Info().Str("event", evSidecarExited).Int("pid", was.pid()).
		Int("code", code).Str("detail", c.rec.Detail).Msg("")
	switch { // a sidecar that we ended has neither failed nor succeeded
	case was.asked:
	case c.cfg.Restart == "on-failure" && code == 0:
		c.wanted, c.backoff.streak, c.rec.State = false, 0, "done"
	case c.cfg.Restart == "never":
		c.wanted = false
	default:
		c.retry(was, code)
	}
	s.startDueSidecars()
}

// retry schedules the next start of a sidecar that ended by itself and should run.
func (c *sidecar) retry(was *child, code int) {
	delay, _ := c.backoff.countFailure(exitFacts{code: code, proven: was.err == nil, served: time.Since(was.started)})
	c.due = time.Now().Add(delay)
	c.rec.Restarts++
	if was.err == nil {
		c.rec.State = "backoff"
	}
}

// record returns c's entry in the status record. If sidecars may not start now, a
// sidecar that would be started is shown as waiting for the gateway.
func (c *sidecar) record(mayStart bool) status.Child {
	r := c.rec
	if !mayStart && (r.State == "backoff" || r.State == "stopped" && c.wanted) {
		r.State = "waiting"
	}
	r.Pending = c.pending(r.State)
	return r
}

// pending returns the text for a sidecar that does not run, or a one-shot that is not
// done. It is "" otherwise, and for a sidecar that is not wanted.
func (c *sidecar) pending(state string) string {
	oneShot := c.cfg.Restart == "on-failure"
	switch {
	case state == "done", state == "running" && !oneShot, state == "stopped" && !c.wanted:
		return ""
	case c.cfg.Pending != "":
		return c.cfg.Pending
	case oneShot:
		return c.cfg.Name + " not done yet"
	}
	return c.cfg.Name + " not running"
}
