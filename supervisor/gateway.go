// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/exitauth"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// Bounds that no setting changes.
const (
	plainRetry    = time.Second            // after a failure that is not the gateway's fault
	sweepPatience = 10 * time.Second       // then stop-timeout is reported; the sweep goes on
	sweepPauseMin = time.Millisecond       // pause before the first check of a sweep; doubles
	sweepPauseMax = 250 * time.Millisecond // longest pause
)

// remainingListeners returns a text that names the socket that holds the port
// although the gateway has just ended, or "". Usually the socket belongs to a process
// that got the listener from the gateway, and the next sweep ends that process.
func (s *Supervisor) remainingListeners() string {
	s.prover.signals.Foreign = s.portTaken()
	if len(s.prover.signals.Foreign) == 0 {
		return ""
	}
	for _, l := range s.prover.signals.Foreign {
		if !s.c.Unseparated && l.UID != s.c.Gateway.UID {
			s.markTokenExposed("the gateway's port was taken when it ended")
		}
	}
	l := s.prover.signals.Foreign[0]
	return "; " + l.Addr + " is still held" + s.listenerDetail(l.UID)
}

// listenerDetail returns a text that names the user of a listener, or "" where users
// are not separated.
func (s *Supervisor) listenerDetail(uid uint32) string {
	if s.c.Unseparated {
		return ""
	}
	return " by uid " + formatInt(int(uid))
}

// gatewayDone handles the end of the gateway, or of its re-exec child.
func (s *Supervisor) gatewayDone(c *child) {
	if c != s.unit.child { // its answer came late, and another gateway has taken its place
		return
	}
	s.cancelRun()
	s.endHolders()
	code := c.exit.Code()
	served := !s.unit.proven.IsZero()
	next := eventDied
	if c.err == nil && !c.asked && s.authorized(c) {
		c.asked, next = true, eventRestart
		s.tell(outcomeReplaced, "")
	}
	last := &status.Exit{PID: c.pid(), Code: code, Text: s.g.ExitText(code), At: time.Now(), Requested: c.asked, Proven: served}
	if c.exit.Status.Signaled() {
		last.Signal = int(c.exit.Status.Signal())
	}
	s.unit.lastExit = last
	if s.cannotEverStart(c.err) {
		return
	}
	s.beginCommand() // the first exit ends the wait for the first proof
	if c.err == nil {
		s.log.Info().Str("event", evExited).Int("pid", c.pid()).Int("code", code).
			Int("signal", last.Signal).Bool("requested", c.asked).Bool("proven", served).Msg("")
		s.post(next)
		return
	}
	why, plain := reason.LaunchFailed, false
	switch failedAt(c.err) {
	case launch.StepTokenFailed:
		why, plain = reason.TokenFailed, true
	case launch.StepTokenChanged:
		why, plain = reason.TokenChanged, true
	case launch.StepDied:
		plain = true // killed, or out of pids, which is not the gateway's fault
	}
	s.unit.start.err = &startError{reason: why, err: s.notExecuted(c.err), plain: plain, exited: true}
	s.post(eventFailed)
}

// authorized reports whether root ended c from outside. Such an exit is a requested
// restart, so the next start is immediate and the exit does not count as a failure.
func (s *Supervisor) authorized(c *child) bool {
	if s.c.Authorized == nil {
		return false
	}
	controller, err := s.c.Authorized(c.id)
	switch {
	case err == nil:
		s.log.Info().Str("event", evExitAuthorized).Int("pid", c.pid()).Int("controller", controller).Msg("")
	case !errors.Is(err, exitauth.ErrNone):
		s.log.Warn().Str("event", evExitNotAuthorized).Int("pid", c.pid()).Err(err).Msg("")
	}
	return err == nil
}

// stopGateway asks the gateway to end. If there is none, it sweeps.
func (s *Supervisor) stopGateway() {
	s.cancelRun()
	grace := s.g.StopGrace
	if s.unit.drain > 0 { // the sidecars stay, because the draining gateway may need them
		grace = s.unit.drain
	} else {
		s.stopSidecars()
	}
	if !s.unit.child.alive() {
		s.sweep()
		return
	}
	s.recordDescendants()
	s.unit.child.asked = true
	if err := s.unit.child.signal(s.g.StopSignal); err != nil {
		s.fault("cannot signal the gateway", err)
	}
	s.timers.arm(graceTimer, grace)
	s.log.Info().Str("event", evStopping).Int("pid", s.unit.child.pid()).Stringer("grace", grace).Msg("")
}

// recordDescendants records the gateway's processes while it is still their parent.
func (s *Supervisor) recordDescendants() {
	if err := s.c.Sweeper.Note(); err != nil {
		s.fault("cannot look at the gateway's processes", err)
	}
}

// shortenGrace handles a stop, or the container's end, while the gateway is being
// stopped. The stop signal was sent already. A drain is cut short.
func (s *Supervisor) shortenGrace() {
	s.unit.drain = 0
	s.stopSidecars()
	s.timers.shorten(graceTimer, s.g.StopGrace)
}

// kill ends a gateway that did not stop in time. The event Died follows.
func (s *Supervisor) kill() {
	if !s.unit.child.alive() {
		return
	}
	s.shutdown.killed = s.shutdown.killed || s.shutdown.begun
	s.log.Warn().Str("event", evKilled).Int("pid", s.unit.child.pid()).Msg("the gateway did not stop within its grace")
	if err := s.unit.child.signal(syscall.SIGKILL); err != nil {
		s.fault("cannot kill the gateway", err)
		// Without CAP_KILL we cannot signal a process of another uid. The sweep can,
		// because it takes that uid. Otherwise this stop would never end.
		if err := s.c.Sweeper.Sweep(); err != nil {
			s.fault("cannot sweep", err)
		}
	}
}

// scheduleRetry counts the exit or the failed start, and arms the backoff.
func (s *Supervisor) scheduleRetry() {
	delay, failure := plainRetry, false
	why, detail := reason.Exited, ""
	again := false // the same failure was logged at the last try, a second ago
	switch e := s.unit.start.err; {
	case e != nil:
		why, detail = e.reason, e.err.Error()
		if !e.plain {
			delay, failure = s.unit.backoff.countFailure(exitFacts{code: -1})
		}
		if again = e.plain && detail == s.unit.start.lastLogged; !again {
			s.log.Warn().Str("event", evStartFailed).Str("reason", string(why)).Err(e.err).Msg("")
		}
	case s.unit.child != nil && s.unit.child.exit != nil:
		e := exitFacts{code: s.unit.child.exit.Code(), proven: !s.unit.proven.IsZero()}
		if e.proven {
			e.served = time.Since(s.unit.proven)
		}
		delay, failure = s.unit.backoff.countFailure(e)
		detail = "the gateway ended with exit code " + formatInt(e.code)
		if text := s.g.ExitText(e.code); text != "" {
			detail += " (" + text + ")"
		}
		detail += s.remainingListeners()
		if s.unit.backoff.held(e.code) {
			detail += "; the next try is after " + delay.String() + ", gatewayctl recover tries at once"
		}
	}
	if failure {
		s.unit.crashes++
	}
	if e := s.unit.start.err; s.unit.lastExit != nil && (e == nil || e.exited) {
		s.unit.lastExit.Failure = failure
	}
	s.unit.child, s.unit.proven = nil, time.Time{}
	s.startTrouble(why, detail)
	s.recordNotServing(detail)
	s.tell(outcomeFailed, why)
	s.timers.arm(retryTimer, delay)
	s.unit.waiting = &status.Waiting{Until: time.Now().Add(delay), DelayMS: delay.Milliseconds(), Streak: s.unit.backoff.streak}
	if s.unit.start.lastLogged = detail; again {
		return
	}
	s.log.Info().Str("event", evBackoff).Str("reason", string(why)).Str("detail", detail).Stringer("delay", delay).
		Bool("failure", failure).Int("streak", s.unit.backoff.streak).Msg("")
}

// onReady handles the first proof of a gateway. It arms the health checks, starts
// the command and the sidecars, and answers the waiting request.
func (s *Supervisor) onReady() {
	now := time.Now()
	s.unit.proven, s.unit.start.readyTimedOut = now, false
	s.unit.trouble.reason, s.unit.trouble.detail, s.unit.waiting = "", "", nil
	s.recordServing()
	s.trimMemory = true
	s.timers.arm(healthTimer, s.g.Health.Interval)
	s.log.Info().Str("event", evProven).Int("pid", s.unit.child.pid()).Stringer("after", now.Sub(s.unit.child.started)).Msg("")
	s.beginCommand()
	s.wantSidecars()
	s.unit.drain = 0
	s.tell(outcomeReady, "")
}

// onStopped records that the gateway is stopped, as requested.
func (s *Supervisor) onStopped() {
	s.unit.child, s.unit.proven = nil, time.Time{}
	s.unit.trouble.reason, s.unit.trouble.detail, s.unit.waiting = "", "", nil
	s.recordNotServing("")
	if s.unit.token.rotate {
		s.unit.token.rotate = false
		if err := s.c.Token.Abort(); err != nil {
			s.fault("cannot remove the prepared token", err)
		}
	}
	s.unit.drain = 0
	s.tell(outcomeStopped, "")
	if s.unit.phase == phaseTerminated {
		s.pollShutdown()
	}
}

// startTrouble sets the reason why the gateway does not serve, for the status.
func (s *Supervisor) startTrouble(why reason.Reason, detail string) {
	s.unit.trouble.reason, s.unit.trouble.detail = why, detail
}
