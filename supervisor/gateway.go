// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
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

// startError says why a start failed.
type startError struct {
	reason reason.Reason
	err    error
	plain  bool // not a failure, so retried after plainRetry
	exited bool // there was a process, and LastExit describes its exit
}

// sweep ends all remaining processes of a former gateway and waits until they are
// gone. The event Swept follows.
func (s *Supervisor) sweep() {
	s.cancelRun()         // the worker has the gateway's UID
	if s.unit.drain > 0 { // the draining gateway could have needed them until now
		s.unit.drain = 0
		s.stopSidecars()
	}
	if !s.c.Unseparated {
		s.sidecars.expectSweep(s.c.Gateway.UID)
	}
	s.unit.sweep.start, s.unit.sweep.pause = time.Now(), sweepPauseMin
	s.unit.start.err, s.unit.start.executed, s.unit.start.readyTimedOut, s.unit.proven = nil, false, false, time.Time{}
	s.sweepAgain()
}

// sweepAgain kills the remaining processes and checks whether they are gone. It
// kills each time, because a docker exec as the gateway's user may have started
// another process since.
func (s *Supervisor) sweepAgain() {
	if err := s.c.Sweeper.Sweep(); err != nil {
		s.fault("cannot sweep", err)
	}
	alive, err := s.c.Sweeper.Alive()
	if err != nil {
		s.fault("cannot tell whether the gateway's processes are gone", err)
	}
	if !alive && err == nil {
		s.unit.last = procfs.ID{}
		s.post(eventSwept)
		return
	}
	if waited := time.Since(s.unit.sweep.start); waited > sweepPatience && s.unit.trouble.reason != reason.StopTimeout {
		s.startTrouble(reason.StopTimeout, "processes of the gateway's user are still there after SIGKILL")
		s.tell(outcomeFailed, reason.StopTimeout)
	}
	s.timers.arm(sweepTimer, s.unit.sweep.pause)
	s.unit.sweep.pause = min(2*s.unit.sweep.pause, sweepPauseMax)
}

// launch starts the gateway. The port must be free, and the entries of "prepare"
// must be there. A new token is put in force now, because the old gateway is gone
// and the new one is not there yet, so two tokens never work at the same time.
func (s *Supervisor) launch() {
	if foreign := s.portTaken(); foreign != nil {
		s.prover.signals.Foreign = foreign
		s.markTokenExposed("the gateway's port was taken before its start")
		s.startFailed(reason.ListenerForeign, fmt.Errorf("port %d is taken%s: %s listens", s.g.Port, s.listenerDetail(foreign[0].UID), foreign[0].Addr), true)
		return
	}
	if err := s.c.Prepare(); err != nil {
		s.startFailed(reason.PrepareFailed, err, true)
		return
	}
	if err := s.renewToken(); err != nil {
		s.startFailed(reason.TokenFailed, err, true)
		return
	}
	c := &child{up: s.gatewayUp, done: s.gatewayDone}
	if err := s.start(*s.c.Gateway, c); err != nil {
		why := reason.LaunchFailed
		if errors.Is(err, errToken) {
			why = reason.TokenFailed
		}
		s.startFailed(why, err, true)
		return
	}
	s.unit.child, s.unit.last = c, c.id
	s.prover.signals = status.Proof{Child: status.Held, Listener: status.NotAvailable,
		Ready: status.NotAvailable, Auth: status.NotAvailable}
	s.timers.arm(readyTimer, s.g.Ready.Timeout)
	s.timers.arm(neverServedTimer, neverServedFactor*s.g.Ready.Timeout)
	s.log.Info().Str("event", evStarted).Int("pid", c.pid()).Uint64("start_ticks", c.id.Start).Msg("")
}

// portTaken lists the sockets that listen on the gateway's port although no gateway
// is alive. If they cannot be listed, the start goes on, and the proof decides.
func (s *Supervisor) portTaken() []status.Listener {
	ls, err := sockets.Listeners(s.g.Port)
	if err != nil || len(ls) == 0 {
		return nil
	}
	return listeners(ls)
}

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

// startFailed ends a start that failed before there was a process.
func (s *Supervisor) startFailed(why reason.Reason, err error, plain bool) {
	s.unit.start.err = &startError{reason: why, err: err, plain: plain}
	s.post(eventFailed)
}

// gatewayUp handles the report that the re-exec child has executed the gateway.
func (s *Supervisor) gatewayUp(c *child) {
	if c != s.unit.child {
		return
	}
	s.unit.start.executed, s.unit.start.lastLogged = true, ""
	s.post(eventLaunched)
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

// notExecuted returns an error that says which step of the gateway's launch failed.
func (s *Supervisor) notExecuted(err error) error {
	spec := s.c.Gateway.Spec
	switch failedAt(err) {
	case launch.StepDir:
		return fmt.Errorf("cannot enter the gateway's working_dir %s as uid %d: %w", spec.Dir, s.c.Gateway.UID, err)
	case launch.StepTokenFailed, launch.StepTokenChanged:
		return fmt.Errorf("cannot hand the gateway its token, its file is missing or changed: %w", err)
	}
	return fmt.Errorf("cannot execute the gateway %s: %w", spec.Argv[0], err)
}

// cannotEverStart ends the container, and returns true, if the very first launch
// shows that the image can never work, because the program is missing or cannot be
// executed.
func (s *Supervisor) cannotEverStart(err error) bool {
	first := !s.unit.start.launchedBefore
	s.unit.start.launchedBefore = true
	if !first || err == nil {
		return false
	}
	for _, errno := range []error{syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC} {
		if errors.Is(err, errno) {
			s.unit.start.fatal = s.notExecuted(err)
			s.unit.child = nil
			s.beginShutdown()
			return true
		}
	}
	return false
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

// listeners converts the first 8 listeners for the status record.
func listeners(ls []sockets.Listener) []status.Listener {
	out := make([]status.Listener, 0, len(ls))
	for _, l := range ls[:min(len(ls), 8)] {
		out = append(out, status.Listener{Addr: l.Addr.String(), UID: l.UID, Inode: l.Inode})
	}
	return out
}
