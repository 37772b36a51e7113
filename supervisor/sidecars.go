// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
)

// sidecars owns the processes that run beside the gateway.
type sidecars struct {
	*common
	list []*sidecar
}

func newSidecars(e *common) sidecars {
	l := sidecars{common: e}
	for i, launch := range e.c.Sidecars {
		l.list = append(l.list, newSidecar(e.c.Settings.Sidecars[i], launch, e.c.Log))
	}
	return l
}

// want wishes all of them to run, after the gateway was proven. A sidecar that still
// runs is left alone. If it was told to end, it is replaced once it has ended.
func (l *sidecars) want() {
	for _, c := range l.list {
		c.wanted = true
	}
}

// stop tells all of them to end, each of them once. From then on each has the grace.
func (l *sidecars) stop() {
	for _, c := range l.list {
		c.wanted = false
		if c.child.alive() && c.killAt.IsZero() {
			c.child.asked, c.killAt = true, time.Now().Add(l.g.StopGrace)
			c.child.signalGroup(syscall.SIGTERM)
			c.child.signalGroup(syscall.SIGCONT) // a stopped process does not see SIGTERM
		}
	}
}

// putOff puts off the end of each grace.
func (l *sidecars) putOff(d time.Duration) {
	for _, c := range l.list {
		if !c.killAt.IsZero() {
			c.killAt = c.killAt.Add(d)
		}
	}
}

// expectSweep marks those of the gateway's UID as asked to end, because the sweep is
// about to kill them.
func (l *sidecars) expectSweep(uid uint32) {
	for _, c := range l.list {
		if c.child.alive() && c.launch.UID == uid {
			c.child.asked = true
		}
	}
}

// killHolders kills those that have the token, and returns the name of one of them,
// or "" if there is none.
func (l *sidecars) killHolders(why string) (name string) {
	for _, c := range l.list {
		if !c.hasToken() || !c.child.alive() {
			continue
		}
		name, c.child.asked = c.cfg.Name, true
		c.log.Info().Str("event", evHolderKilled).Int("pid", c.child.pid()).Str("detail", why).Msg("it has the token")
		if err := c.child.signalGroup(syscall.SIGKILL); err != nil {
			l.fault("cannot kill a sidecar that has the token", err)
		}
	}
	return name
}

// tend starts and kills the sidecars that are due, and arms the timer for the next one.
// It reports whether it killed any. portOurs is asked before a sidecar gets the token.
func (l *sidecars) tend(mayStart bool, portOurs func() bool) (killed bool) {
	var first time.Time
	for _, c := range l.list {
		step, again := c.next(time.Now(), mayStart, portOurs)
		switch step {
		case sidecarStarts:
			l.begin(c)
			again = c.due
		case sidecarIsKilled:
			killed = true
			c.kill()
			again = c.due
		}
		if !again.IsZero() && (first.IsZero() || again.Before(first)) {
			first = again
		}
	}
	l.timers.cancel(sidecarTimer)
	if !first.IsZero() {
		l.timers.arm(sidecarTimer, time.Until(first))
	}
	return killed
}

func (l *sidecars) begin(c *sidecar) {
	c.child = &child{role: roleSidecar, sidecar: c, group: c.fate()}
	c.begun(l.start(c.launch, c.child), time.Now())
}

// fill sets what the record says about sidecars.
func (l *sidecars) fill(r *status.Record, mayStart bool) {
	r.Sidecars = make([]status.Child, 0, len(l.list))
	for _, c := range l.list {
		r.Sidecars = append(r.Sidecars, c.record(mayStart))
	}
}
