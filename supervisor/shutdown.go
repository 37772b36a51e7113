// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

const (
	shutdownPauseMin = 2 * time.Millisecond // first pause before checking that all processes are gone; doubles
	shutdownPauseMax = 50 * time.Millisecond
	killBound        = time.Second // after SIGKILL to all processes
	codeKilled       = 128 + int(unix.SIGKILL)
)

// signalled handles TERM, INT, QUIT or HUP. If the command owns the terminal, the
// last three are forwarded to it, and the container ends when the command ends.
func (s *Supervisor) signalled(sig os.Signal) {
	s.log.Info().Str("event", evSignal).Stringer("signal", sig).Msg("")
	if sig != syscall.SIGTERM && s.command.alive() && s.c.Command.Spec.Foreground {
		if err := s.command.signalGroup(sig.(syscall.Signal)); err != nil {
			s.fault("cannot forward a signal to the command", err)
		}
		return
	}
	s.beginShutdown()
}

// beginShutdown begins the shutdown of the container, once. Every process gets its
// stop signal. All of them share one grace, and SIGKILL follows.
func (s *Supervisor) beginShutdown() {
	if s.shuttingDown {
		return
	}
	s.shuttingDown, s.dirty = true, true
	s.log.Info().Str("event", evShutdown).Stringer("grace", s.g.StopGrace).Msg("")
	s.stopSidecars()
	if s.command.alive() {
		s.command.asked = true
		s.command.signal(syscall.SIGTERM)
	}
	for _, uid := range s.c.Others {
		s.c.Sweeper.Signal(uid, syscall.SIGTERM)
	}
	s.drain = 0
	s.post(eventShutdown)
	s.timers.arm(shutdownGraceTimer, s.g.StopGrace)
	s.shutdownPause = shutdownPauseMin
	s.timers.arm(shutdownTimer, s.shutdownPause)
}

// pollShutdown checks whether all processes are gone. It does not wait for root's own
// processes (a docker exec), because they end with the PID namespace.
func (s *Supervisor) pollShutdown() {
	if s.done {
		return
	}
	if s.phase == phaseTerminated && !s.command.pending() && !s.othersAlive() {
		s.completeShutdown()
		return
	}
	if !s.killDeadline.IsZero() && os.Getpid() != 1 {
		s.killRemaining() // processes that were forked since the last check
	}
	s.shutdownPause = min(2*s.shutdownPause, shutdownPauseMax)
	s.timers.arm(shutdownTimer, s.shutdownPause)
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
	if s.killed && !s.killDeadline.IsZero() {
		s.completeShutdown() // a process that survives SIGKILL for a second is stuck in the kernel
		return
	}
	s.killed = true
	s.killDeadline = time.Now().Add(killBound)
	s.log.Warn().Str("event", evKilled).Msg("the container's processes did not end within the grace")
	s.killRemaining()
	s.timers.arm(shutdownGraceTimer, killBound)
	s.timers.arm(shutdownTimer, shutdownPauseMin)
}

// killRemaining sends SIGKILL to all remaining processes. As PID 1, one call is
// enough, because the kernel kills every process of the namespace in one step, and a
// fork under way does not succeed.
func (s *Supervisor) killRemaining() {
	if os.Getpid() == 1 {
		if err := sys.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			s.fault("cannot kill what is left", err)
		}
		return
	}
	for _, uid := range s.c.Others {
		s.c.Sweeper.Signal(uid, syscall.SIGKILL)
	}
	if s.command.alive() {
		s.command.signal(syscall.SIGKILL)
	}
}

// completeShutdown ends the loop and sets the container's exit code. It is the
// command's exit code, if there was a command.
func (s *Supervisor) completeShutdown() {
	s.done, s.dirty = true, true
	s.tell(outcomeTerminated, "") // a stop of a gateway that SIGKILL did not end
	switch {
	case s.fatalLaunch != nil:
		s.code = 1
	case s.cmdCode != nil:
		s.code = *s.cmdCode
	case s.killed:
		s.code = codeKilled
	}
	s.log.Info().Str("event", evTerminated).Int("code", s.code).Msg("")
}
