// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

const (
	shutdownPauseMin = 2 * time.Millisecond // first pause before checking that all processes are gone; doubles
	shutdownPauseMax = 50 * time.Millisecond
	killBound        = time.Second // after SIGKILL to all processes
	codeKilled       = 128 + int(unix.SIGKILL)
)

// shutdown owns the container's command and the end of the container.
type shutdown struct {
	command        *child
	commandStarted bool // the command was started, or could not be
	commandCode    *int // its exit code, once it has ended
	begun          bool
	pause          time.Duration // before the next check that all processes are gone
	killed         bool          // a process had to be killed at the end
	killDeadline   time.Time     // set once all processes were killed
	code           int           // of the container
	over           bool
}

// fill sets what the record says about the command and the goal. c is the command's
// launch, or nil.
func (d *shutdown) fill(r *status.Record, c *launch.Child) {
	if d.begun {
		r.Goal = status.GoalExit
	}
	if c == nil {
		return
	}
	r.Command = &status.Child{Name: "command", State: "waiting", UID: c.UID}
	switch {
	case d.commandCode != nil:
		r.Command.State, r.Command.Detail = "stopped", "ended with exit code "+formatInt(*d.commandCode)
	case d.command.pending(): // also if it was reaped before its re-exec child has answered
		r.Command.State, r.Command.PID = "running", d.command.pid()
	}
}

// signalled handles TERM, INT, QUIT or HUP. If the command owns the terminal, the
// last three are forwarded to it, and the container ends when the command ends.
func (s *Supervisor) signalled(sig os.Signal) {
	s.log.Info().Str("event", evSignal).Stringer("signal", sig).Msg("")
	if sig != syscall.SIGTERM && s.shutdown.command.alive() && s.c.Command.Spec.Foreground {
		if err := s.shutdown.command.signalGroup(sig.(syscall.Signal)); err != nil {
			s.fault("cannot forward a signal to the command", err)
		}
		return
	}
	s.beginShutdown()
}

// beginShutdown begins the shutdown of the container, once. Every process gets its
// stop signal. All of them share one grace, and SIGKILL follows.
func (s *Supervisor) beginShutdown() {
	if s.shutdown.begun {
		return
	}
	s.shutdown.begun = true
	s.log.Info().Str("event", evShutdown).Stringer("grace", s.g.StopGrace).Msg("")
	s.stopSidecars()
	if s.shutdown.command.alive() {
		s.shutdown.command.asked = true
		s.shutdown.command.signal(syscall.SIGTERM)
	}
	for _, uid := range s.c.Others {
		s.c.Sweeper.Signal(uid, syscall.SIGTERM)
	}
	s.unit.drain = 0
	s.post(eventShutdown)
	s.timers.arm(shutdownGraceTimer, s.g.StopGrace)
	s.shutdown.pause = shutdownPauseMin
	s.timers.arm(shutdownTimer, s.shutdown.pause)
}

// pollShutdown checks whether all processes are gone. It does not wait for root's own
// processes (a docker exec), because they end with the PID namespace.
func (s *Supervisor) pollShutdown() {
	if s.shutdown.over {
		return
	}
	if s.unit.phase == phaseTerminated && !s.shutdown.command.pending() && !s.othersAlive() {
		s.completeShutdown()
		return
	}
	if !s.shutdown.killDeadline.IsZero() && !s.kernel.isInit {
		s.killRemaining() // processes that were forked since the last check
	}
	s.shutdown.pause = min(2*s.shutdown.pause, shutdownPauseMax)
	s.timers.arm(shutdownTimer, s.shutdown.pause)
}

func (s *Supervisor) othersAlive() bool {
	for _, uid := range s.c.Others {
		if alive, err := s.c.Sweeper.Others(uid); err != nil || alive {
			return true
		}
	}
	return false
}

// forceShutdown handles the end of the grace. It kills all remaining processes, and
// waits at most killBound for them to end.
func (s *Supervisor) forceShutdown() {
	if s.shutdown.killed && !s.shutdown.killDeadline.IsZero() {
		s.completeShutdown() // a process that survives SIGKILL for a second is stuck in the kernel
		return
	}
	s.shutdown.killed = true
	s.shutdown.killDeadline = time.Now().Add(killBound)
	s.log.Warn().Str("event", evKilled).Msg("the container's processes did not end within the grace")
	s.killRemaining()
	s.timers.arm(shutdownGraceTimer, killBound)
	s.timers.arm(shutdownTimer, shutdownPauseMin)
}

// killRemaining sends SIGKILL to all remaining processes. As PID 1, one call is
// enough, because the kernel kills every process of the namespace in one step, and a
// fork under way does not succeed.
func (s *Supervisor) killRemaining() {
	if s.kernel.isInit {
		if err := s.kernel.killAll(); err != nil && !errors.Is(err, unix.ESRCH) {
			s.fault("cannot kill what is left", err)
		}
		return
	}
	for _, uid := range s.c.Others {
		s.c.Sweeper.Signal(uid, syscall.SIGKILL)
	}
	if s.shutdown.command.alive() {
		s.shutdown.command.signal(syscall.SIGKILL)
	}
}

// completeShutdown ends the loop and sets the container's exit code. It is the
// command's exit code, if there was a command.
func (s *Supervisor) completeShutdown() {
	s.shutdown.over = true
	s.tell(outcomeTerminated, "") // a stop of a gateway that SIGKILL did not end
	switch {
	case s.unit.start.fatal != nil:
		s.shutdown.code = 1
	case s.shutdown.commandCode != nil:
		s.shutdown.code = *s.shutdown.commandCode
	case s.shutdown.killed:
		s.shutdown.code = codeKilled
	}
	s.log.Info().Str("event", evTerminated).Int("code", s.shutdown.code).Msg("")
}
