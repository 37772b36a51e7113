// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
)

// Bounds of a sweep.
const (
	sweepPatience = 10 * time.Second       // then stop-timeout is reported; the sweep goes on
	sweepPauseMin = time.Millisecond       // pause before the first check of a sweep; doubles
	sweepPauseMax = 250 * time.Millisecond // longest pause
)

// stop asks the gateway to end, and reports whether there is one.
func (u *gatewayUnit) stop() bool {
	if !u.child.alive() {
		return false
	}
	grace := u.g.StopGrace
	if u.drain > 0 {
		grace = u.drain
	}
	u.recordDescendants()
	u.child.asked = true
	if err := errors.Join(u.child.signal(u.g.StopSignal), u.child.signal(syscall.SIGCONT)); err != nil {
		u.fault("cannot signal the gateway", err)
	}
	u.timers.arm(graceTimer, grace)
	u.sweep.by = time.Now().Add(grace)
	u.log.Info().Str("event", evStopping).Int("pid", u.child.pid()).Stringer("grace", grace).Msg("")
	return true
}

// reload sends the gateway the signal by which it reads its configuration again.
func (u *gatewayUnit) reload() {
	u.log.Info().Str("event", evReload).Int("pid", u.child.pid()).Stringer("signal", u.g.Reload).Msg("")
	if err := u.child.signal(u.g.Reload); err != nil {
		u.fault("cannot signal the gateway", err)
	}
}

// recordDescendants records the gateway's processes while it is still their parent.
func (u *gatewayUnit) recordDescendants() {
	if err := u.c.Sweeper.Note(); err != nil {
		u.fault("cannot look at the gateway's processes", err)
	}
}

// shortenGrace handles a stop, or the container's end, while the gateway is being
// stopped. The stop signal was sent already. A drain is cut short.
func (u *gatewayUnit) shortenGrace() {
	u.drain = 0
	u.timers.shorten(graceTimer, u.g.StopGrace)
	u.shortenSweep()
}

// shortenSweep leaves at most stop.grace to what the gateway leaves behind.
func (u *gatewayUnit) shortenSweep() {
	if by := time.Now().Add(u.g.StopGrace); u.sweep.by.After(by) {
		u.sweep.by = by
	}
}

// kill ends a gateway that did not stop in time, and reports whether there was one. The
// event died follows.
func (u *gatewayUnit) kill() bool {
	if !u.child.alive() {
		return false
	}
	u.log.Warn().Str("event", evKilled).Int("pid", u.child.pid()).Msg("the gateway did not stop within its grace")
	if err := u.child.signal(syscall.SIGKILL); err != nil {
		u.fault("cannot kill the gateway", err)
		// Without CAP_KILL we cannot signal a process of another uid. The sweep can,
		// because it takes that uid. Otherwise this stop would never end.
		if err := u.c.Sweeper.Sweep(); err != nil {
			u.fault("cannot sweep", err)
		}
	}
	return true
}

// putOff puts off the end of the grace of what the gateway left behind.
func (u *gatewayUnit) putOff(d time.Duration) {
	if !u.sweep.by.IsZero() {
		u.sweep.by = u.sweep.by.Add(d)
	}
}

// beginSweep forgets the gateway that is gone. The processes that it left behind have the
// rest of its grace, so that the end of a wrapper is not taken for the end of the service.
// A gateway that ended by itself left them in time (scheduleRetry), and before a start
// they are killed.
func (u *gatewayUnit) beginSweep() {
	u.sweep.start, u.sweep.pause, u.sweep.asked = time.Now(), sweepPauseMin, false
	switch {
	case u.phase == phaseStarting:
		u.sweep.by = time.Time{}
	case u.sweep.by.IsZero(): // there was no gateway to stop
		u.sweep.by = time.Now().Add(u.g.StopGrace)
	default: // it may have had a long drain
		u.shortenSweep()
	}
	if u.phase == phaseShuttingDown { // they must be gone when the container's grace is over
		u.sweep.by = u.sweep.by.Add(-sweepPauseMax)
	}
	u.start.err, u.start.executed, u.start.readyTimedOut, u.start.proven = nil, false, false, time.Time{}
}

// checkSweep posts the event swept if no process of the former gateway is left. Otherwise
// it ends them, and arms the next check. It kills each time, because a docker exec as the
// gateway's user may have started another process since. late is true once, when the
// sweep takes too long.
func (u *gatewayUnit) checkSweep() (late bool) {
	alive, err := u.c.Sweeper.Alive()
	if err != nil {
		u.fault("cannot tell whether the gateway's processes are gone", err)
	}
	if !alive && err == nil {
		u.last, u.sweep.by = procfs.ID{}, time.Time{}
		u.post(eventSwept)
		return false
	}
	now := time.Now()
	grace := u.sweep.by.Sub(now)
	if grace > 0 {
		u.askToEnd()
	} else {
		u.endRemaining()
		grace = sweepPauseMax
	}
	late = now.Sub(u.sweep.start) > sweepPatience && now.Sub(u.sweep.by) > sweepPatience && u.trouble.reason != reason.StopTimeout
	if late {
		u.setTrouble(reason.StopTimeout, "processes of the gateway's user are still there after SIGKILL")
	}
	u.timers.arm(sweepTimer, min(u.sweep.pause, grace))
	u.sweep.pause = min(2*u.sweep.pause, sweepPauseMax)
	return late
}

// askToEnd asks the remaining processes of the former gateway to end, once.
func (u *gatewayUnit) askToEnd() {
	if u.sweep.asked {
		return
	}
	u.sweep.asked = true
	if err := u.c.Sweeper.Terminate(); err != nil {
		u.fault("cannot signal the gateway's processes", err)
	}
}

// endRemaining kills the remaining processes of the former gateway.
func (u *gatewayUnit) endRemaining() {
	if u.sweep.asked {
		u.sweep.asked, u.sweep.pause = false, sweepPauseMin // they are gone soon
		u.log.Warn().Str("event", evKilled).Msg("processes that the gateway left behind did not end within its grace")
	}
	if err := u.c.Sweeper.Sweep(); err != nil {
		u.fault("cannot sweep", err)
	}
}

// stopped records that the gateway is stopped, as requested.
func (u *gatewayUnit) stopped() {
	u.child, u.start.proven, u.start.evict, u.waiting, u.drain = nil, time.Time{}, 0, nil, 0
	u.setTrouble("", "")
	if u.token.rotate {
		u.token.rotate = false
		if err := u.c.Token.Abort(); err != nil {
			u.fault("cannot remove the prepared token", err)
		}
	}
}
