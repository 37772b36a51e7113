package supervisor

import (
	"errors"
	"fmt"
	"syscall"

	"gatewayinit/internal/status"
	"gatewayinit/supervisor/launch"
	"gatewayinit/supervisor/proof"
)

// Who has the token (docs/design.md, section 3). PID 1 opens the token's file for each
// gateway, worker and sidecar that is to have it, and passes the descriptor: the
// file is closed to their users. When the gateway ends, its port is free and the
// agent can take it, and a client with the token that connects again would hand it
// over. So each sidecar that has it ends with the gateway, and what may have leaked
// all the same is replaced at the next start.

// errToken is that a child cannot be handed the token.
var errToken = errors.New("cannot hand over the token, its file is missing or changed")

// handToken gives l the token in force: the file, opened for this child alone, and
// the digest that it must have. The caller closes the file after the fork.
func (s *Supervisor) handToken(l *launch.Child) (closeFile func(), err error) {
	f, err := s.c.Token.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errToken, err)
	}
	l.Token = f
	l.Spec.Token = &launch.Token{Env: l.Spec.Token.Env, Sum: s.c.Token.Sum()}
	return func() { f.Close() }, nil
}

// seenForeign is the reason for expose after a look at the port.
const seenForeign = "a foreign listener was seen on the gateway's port"

// expose notes that the token in force may be known, and why: the next start mints
// another. The first reason stands.
func (s *Supervisor) expose(why string) {
	if s.exposed == "" {
		s.exposed = why
	}
}

// renewToken puts another token in force if a request prepared one, or if the one
// in force may be known. It is called while no gateway is alive. A file system that
// takes no new token keeps the gateway from its start: the old one must not work
// again.
func (s *Supervisor) renewToken() error {
	why := s.exposed
	if !s.rotate && why == "" {
		return nil
	}
	if !s.rotate {
		if err := s.c.Token.Prepare(); err != nil {
			return fmt.Errorf("cannot replace the token, which may be known (%s): %w", why, err)
		}
	}
	if err := s.c.Token.Commit(); err != nil {
		if s.rotate { // the next try prepares another
			s.rotate = false
			s.expose("a requested rotation failed")
		}
		return err
	}
	if err := s.c.ForgetClients(); err != nil {
		s.fault("cannot forget the clients of the former token", err)
	}
	s.rotate, s.exposed, s.dirty = false, "", true
	line := s.log.Info().Str("event", evRotated)
	if why != "" {
		line.Str("detail", why)
	}
	line.Msg("")
	return nil
}

// endHolders kills every sidecar that has the token, with its process group, as
// soon as the gateway has ended. Each starts again after the next proof. A client
// of gatewayctl ends itself by the gateway's pidfd: its lock says that it had the
// token, too.
func (s *Supervisor) endHolders() {
	if held, err := s.c.Clients(); err != nil {
		s.fault("cannot tell whether a client has the token", err)
		s.expose("a client may have had the token when the gateway ended")
	} else if held {
		s.expose("a client had the token when the gateway ended")
	}
	if name := s.killHolders("the gateway has ended"); name != "" {
		s.expose("sidecar " + name + " had the token when the gateway ended")
	}
}

// killHolders kills the sidecars that have the token, and returns the name of one of
// them, "" for none. The gateway has ended, or another process listens on its port.
func (s *Supervisor) killHolders(why string) (name string) {
	for _, c := range s.sidecars {
		if c.launch.Spec.Token == nil || !c.child.alive() {
			continue
		}
		name, c.child.asked = c.cfg.Name, true
		c.log.Info().Str("event", evHolderKilled).Int("pid", c.child.pid()).Str("detail", why).Msg("it has the token")
		if err := c.child.signalGroup(syscall.SIGKILL); err != nil {
			s.fault("cannot kill a sidecar that has the token", err)
		}
	}
	return name
}

// portOurs reports whether the gateway lives and nobody else listens on its port:
// only then a sidecar that has the token is started.
func (s *Supervisor) portOurs() bool {
	_, o, _, err := s.judgeListeners()
	return err == nil && o == proof.Ours && s.gateway.id.Verify() == nil
}

// holderDone exposes the token if c had it and ended when the gateway had ended
// already, or may have. One SIGCHLD may stand for both, and c may be reaped first:
// endHolders does not see c alive then. A process that ends closes its sockets
// before it is a zombie, so the listener has to be there, too.
func (s *Supervisor) holderDone(c *sidecar) {
	if c.launch.Spec.Token == nil || !s.gateway.alive() {
		return
	}
	if !s.portOurs() {
		s.expose("sidecar " + c.cfg.Name + " had the token when the gateway ended")
	}
}

// scored names a child without its OOM score under hardening, once.
func (s *Supervisor) scored(err error) {
	if err == nil {
		return
	}
	const name = "oom-score"
	for _, h := range s.rec.Hardening {
		if h.Name == name {
			return
		}
	}
	s.rec.Hardening = append(s.rec.Hardening, status.Hardening{Name: name, Detail: err.Error()})
	s.dirty = true
	s.log.Warn().Str("event", "hardening").Str("name", name).Str("detail", err.Error()).Msg("")
}
