// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// This file controls which processes have the token (docs/design.md, section 3).
// PID 1 opens the token file for each gateway, worker and sidecar that is to have
// the token, and passes the descriptor, because the file is closed to their users.
// When the gateway ends, its port is free and the agent can take it. A client with
// the token that connects again would then hand over the token. So each sidecar
// that has the token is killed when the gateway ends, and a token that may have
// leaked anyway is replaced at the next start.

// errToken means that a child cannot be handed the token.
var errToken = errors.New("cannot hand over the token, its file is missing or changed")

// handToken gives l the token in force: the token file, opened for this child
// alone, and the digest that the token must have. The caller closes the file after
// the fork.
func (s *Supervisor) handToken(l *launch.Child) (closeFile func(), err error) {
	f, err := s.c.Token.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errToken, err)
	}
	l.Token = f
	l.Spec.Token = &launch.Token{Env: l.Spec.Token.Env, Sum: s.c.Token.Sum()}
	return func() { f.Close() }, nil
}

// seenForeign is the reason that markTokenExposed gets after a look at the port.
const seenForeign = "a foreign listener was seen on the gateway's port"

// markTokenExposed records that the token in force may be known, and why. The next
// start then mints another token. Only the first reason is kept.
func (s *Supervisor) markTokenExposed(why string) {
	if s.unit.token.exposed == "" {
		s.unit.token.exposed = why
	}
}

// renewToken puts another token in force if a request prepared one, or if the token
// in force may be known. It is called while no gateway is alive. If the file system
// takes no new token, it returns an error and the gateway does not start, because
// the old token must not work again.
func (s *Supervisor) renewToken() error {
	why := s.unit.token.exposed
	if !s.unit.token.rotate && why == "" {
		return nil
	}
	if !s.unit.token.rotate {
		if err := s.c.Token.Prepare(); err != nil {
			return fmt.Errorf("cannot replace the token, which may be known (%s): %w", why, err)
		}
	}
	if err := s.c.Token.Commit(); err != nil {
		if s.unit.token.rotate { // the next try prepares another
			s.unit.token.rotate = false
			s.markTokenExposed("a requested rotation failed")
		}
		return err
	}
	if err := s.c.ForgetClients(); err != nil {
		s.fault("cannot forget the clients of the former token", err)
	}
	s.unit.token.rotate, s.unit.token.exposed = false, ""
	line := s.log.Info().Str("event", evRotated)
	if why != "" {
		line.Str("detail", why)
	}
	line.Msg("")
	return nil
}

// endHolders kills every sidecar that has the token, with its process group, as
// soon as the gateway has ended. Each of them starts again after the next proof. A
// client of gatewayctl watches the gateway's pidfd and ends by itself. Its lock
// shows that it had the token, too.
func (s *Supervisor) endHolders() {
	if held, err := s.c.Clients(); err != nil {
		s.fault("cannot tell whether a client has the token", err)
		s.markTokenExposed("a client may have had the token when the gateway ended")
	} else if held {
		s.markTokenExposed("a client had the token when the gateway ended")
	}
	if name := s.killHolders("the gateway has ended"); name != "" {
		s.markTokenExposed("sidecar " + name + " had the token when the gateway ended")
	}
}

// killHolders kills the sidecars that have the token, and returns the name of one
// of them, or "" if there is none. It is called when the gateway has ended, or when
// another process listens on the gateway's port.
func (s *Supervisor) killHolders(why string) (name string) {
	name, err := s.sidecars.killHolders(why)
	if err != nil {
		s.fault("cannot kill a sidecar that has the token", err)
	}
	return name
}

// portOurs reports whether the gateway is alive and no other process listens on its
// port. A sidecar that has the token is started only then.
func (s *Supervisor) portOurs() bool {
	_, o, _, err := s.judgeListeners()
	return err == nil && o == proof.Ours && s.kernel.verify(s.unit.child.id) == nil
}

// holderDone exposes the token if c had it and the gateway had ended, or may have
// ended, before c did. One SIGCHLD may stand for both exits, and c may be reaped
// first. In that case endHolders does not find c alive. A process that ends closes
// its sockets before it is a zombie, so holderDone also requires that the gateway
// still listens.
func (s *Supervisor) holderDone(c *sidecar) {
	if !c.hasToken() || !s.unit.child.alive() {
		return
	}
	if !s.portOurs() {
		s.markTokenExposed("sidecar " + c.cfg.Name + " had the token when the gateway ended")
	}
}

// scored lists a failure to set an OOM score under hardening, once.
func (s *Supervisor) scored(err error) {
	if err == nil {
		return
	}
	const name = "oom-score"
	for _, h := range s.base.Hardening {
		if h.Name == name {
			return
		}
	}
	s.base.Hardening = append(s.base.Hardening, status.Hardening{Name: name, Detail: err.Error()})
	s.log.Warn().Str("event", evHardening).Str("name", name).Str("detail", err.Error()).Msg("")
}
