// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"os"
	"syscall"

	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// Exit codes of a command that cannot be executed, the same as in every shell.
const (
	codeNotFound      = 127
	codeNotExecutable = 126
)

// beginCommand starts the container's command, once. If there are no pids or no memory
// left, it records an exit code, because the container cannot do its work.
func (d *shutdown) beginCommand() {
	if d.commandStarted || d.c.Command == nil || d.begun {
		return
	}
	d.commandStarted = true
	d.lend(true)
	c := &child{role: roleCommand}
	if err := d.start(*d.c.Command, c); err != nil {
		d.lend(false)
		d.log.Error().Str("event", evCommandFailed).Err(err).Msg("")
		code := codeNotExecutable
		d.commandCode = &code
		return
	}
	d.command = c
	d.log.Info().Str("event", evCommandStarted).Int("pid", c.pid()).Msg("")
}

// resumeCommand continues a command that the terminal's Ctrl-Z has stopped. PID 1 leads the
// session, so no shell above could continue it, and the terminal would be dead. A command
// that something else stops (SIGSTOP) stays stopped.
func (d *shutdown) resumeCommand() {
	if !d.command.alive() || !d.c.Command.Spec.Foreground {
		return
	}
	sig, err := d.kernel.stopped(d.command.pid())
	if err == nil && sig == syscall.SIGTSTP {
		err = d.command.signalGroup(syscall.SIGCONT)
	}
	if err != nil {
		d.fault("cannot continue the command", err)
	}
}

// lend lends the terminal to the command, or takes it back.
func (d *shutdown) lend(lent bool) {
	if d.c.Lend != nil {
		d.c.Lend(lent)
	}
}

// commandEnded records the command's exit code.
func (d *shutdown) commandEnded(c *child) {
	d.lend(false)
	code := c.exit.Code()
	if step := failedAt(c.err); step != "" && step != launch.StepDied {
		code = codeNotExecutable
		if errors.Is(c.err, syscall.ENOENT) {
			code = codeNotFound
		}
		d.log.Error().Str("event", evCommandFailed).Str("command", d.c.Command.Spec.Argv[0]).Err(c.err).Msg("")
	}
	d.log.Info().Str("event", evCommandExited).Int("pid", c.pid()).Int("code", code).Msg("")
	d.commandCode = &code
}

// The rest has what the command and the container's end mean for the other owners.

// beginCommand starts the command, once. The container ends with it.
func (s *Supervisor) beginCommand() {
	if s.shutdown.beginCommand(); s.shutdown.commandCode != nil {
		s.beginShutdown()
	}
}

func (s *Supervisor) commandEnded(c *child) {
	s.shutdown.commandEnded(c)
	s.beginShutdown()
}

// signalled handles a stop signal or HUP. If the command owns the terminal, INT, QUIT and
// HUP are forwarded to it, and the container ends when the command ends. Where there is no
// terminal, HUP asks to read the configuration again, as everywhere else.
func (s *Supervisor) signalled(sig os.Signal) {
	switch {
	case s.shutdown.forward(sig):
	case sig == syscall.SIGHUP && !s.c.Terminal:
		s.hangUp()
	default:
		s.log.Info().Str("event", evSignal).Stringer("signal", sig).Msg("")
		s.beginShutdown()
	}
}

// hangUp passes HUP on to a gateway that serves. One that starts has no handler yet, and
// reads its configuration anyway.
func (s *Supervisor) hangUp() {
	switch {
	case s.g.Reload == 0:
		s.shutdown.noteIgnored(syscall.SIGHUP)
	case s.unit.phase == phaseRunning:
		s.unit.reload()
	}
}

// beginShutdown begins the shutdown of the container, once. Every process gets its
// stop signal. All of them share one grace, and SIGKILL follows.
func (s *Supervisor) beginShutdown() {
	if !s.shutdown.begin() {
		return
	}
	s.stopSidecars()
	s.shutdown.terminate()
	s.unit.drain = 0
	s.unit.post(eventShutdown)
}

// pollShutdown checks whether all processes are gone.
func (s *Supervisor) pollShutdown() {
	if !s.shutdown.over && s.shutdown.poll(s.unit.phase == phaseTerminated && s.relay.stop()) {
		s.completeShutdown()
	}
}

// forceShutdown handles the end of the grace.
func (s *Supervisor) forceShutdown() {
	s.relay.stop()
	if s.shutdown.force() {
		s.completeShutdown()
	}
}

// completeShutdown ends the loop.
func (s *Supervisor) completeShutdown() {
	s.shutdown.complete(s.unit.start.fatal)
	s.tell(outcomeTerminated, "") // a stop of a gateway that SIGKILL did not end
}
