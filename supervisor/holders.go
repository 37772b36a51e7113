// SPDX-License-Identifier: Apache-2.0

package supervisor

// This file has what sidecars mean for the other owners. A sidecar may have the token.

// stopSidecars tells all sidecars to end.
func (s *Supervisor) stopSidecars() {
	s.sidecars.stop()
	s.tendSidecars()
}

// tendSidecars starts and kills the sidecars that are due.
func (s *Supervisor) tendSidecars() {
	s.shutdown.noteKill(s.sidecars.tend(s.unit.letsSidecarsStart(), s.portOurs))
}

// portOurs reports whether the gateway is alive and no other process listens on its
// port. A sidecar that has the token is started only then.
func (s *Supervisor) portOurs() bool {
	if s.portIsTaken() {
		return false
	}
	_, o, _, err := s.judgePort()
	return err == nil && s.prover.holdsPort(s.unit.child, o)
}

// endHolders kills every sidecar that has the token, with its process group, as
// soon as the gateway has ended. Each of them starts again after the next proof. A
// client of gatewayctl watches the gateway's pidfd and ends by itself. Its lock
// shows that it had the token, too.
func (s *Supervisor) endHolders() {
	if held, err := s.c.Clients(); err != nil {
		s.fault("cannot tell whether a client has the token", err)
		s.unit.expose("a client may have had the token when the gateway ended")
	} else if held {
		s.unit.expose("a client had the token when the gateway ended")
	}
	if name := s.sidecars.killHolders("the gateway has ended"); name != "" {
		s.unit.expose("sidecar " + name + " had the token when the gateway ended")
	}
}

// sidecarEnded handles the end of a sidecar. It exposes the token if the sidecar had it
// and the gateway had ended, or may have ended, before the sidecar did. One SIGCHLD may
// stand for both exits, and the sidecar may be reaped first. In that case endHolders does
// not find it alive. A process that ends closes its sockets before it is a zombie, so
// the gateway must still listen, too.
func (s *Supervisor) sidecarEnded(c *sidecar) {
	if c.hasToken() && s.unit.child.alive() && !s.portOurs() {
		s.unit.expose("sidecar " + c.cfg.Name + " had the token when the gateway ended")
	}
	c.ended(s.g.StopGrace)
	s.tendSidecars()
}
