// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"syscall"

	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// Exit codes of a command that cannot be executed, the same as in every shell.
const (
	codeNotFound      = 127
	codeNotExecutable = 126
)

// beginCommand starts the container's command, once.
func (s *Supervisor) beginCommand() {
	if s.shutdown.commandStarted || s.c.Command == nil || s.shutdown.begun {
		return
	}
	s.shutdown.commandStarted = true
	c := &child{done: s.commandDone}
	if err := s.start(*s.c.Command, c); err != nil {
		// There are no pids or no memory left, so the container cannot do its work.
		s.log.Error().Str("event", evCommandFailed).Err(err).Msg("")
		s.commandEnded(codeNotExecutable)
		return
	}
	s.shutdown.command = c
	s.log.Info().Str("event", evCommandStarted).Int("pid", c.pid()).Msg("")
}

func (s *Supervisor) commandDone(c *child) {
	code := c.exit.Code()
	if step := failedAt(c.err); step != "" && step != launch.StepDied {
		code = codeNotExecutable
		if errors.Is(c.err, syscall.ENOENT) {
			code = codeNotFound
		}
		s.log.Error().Str("event", evCommandFailed).Str("command", s.c.Command.Spec.Argv[0]).Err(c.err).Msg("")
	}
	s.log.Info().Str("event", evCommandExited).Int("pid", c.pid()).Int("code", code).Msg("")
	s.commandEnded(code)
}

// commandEnded records the command's exit code, and ends the container.
func (s *Supervisor) commandEnded(code int) {
	s.shutdown.commandCode = &code
	s.beginShutdown()
}
