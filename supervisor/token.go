// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"

	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// This file and holders.go control which processes have the token (docs/design.md,
// section 3).
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
func (e *common) handToken(l *launch.Child) (closeFile func(), err error) {
	f, err := e.c.Token.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errToken, err)
	}
	l.Token = f
	l.Spec.Token = &launch.Token{Env: l.Spec.Token.Env, Sum: e.c.Token.Sum()}
	return func() { f.Close() }, nil
}

// checkToken returns an error if the next gateway gets the token in force, and that cannot
// be handed over, because root has removed its file.
func (u *gatewayUnit) checkToken(rotate bool) error {
	if rotate || u.token.exposed != "" {
		return nil
	}
	f, err := u.c.Token.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", errToken, err)
	}
	return f.Close()
}

// seenForeign is the reason that expose gets after a look at the port.
const seenForeign = "a foreign listener was seen on the gateway's port"

// expose records that the token in force may be known, and why. The next start then
// mints another token. Only the first reason is kept. Where PID 1 holds the port that
// clients use, no client can have sent the token to another process.
func (u *gatewayUnit) expose(why string) {
	if u.token.exposed == "" && !u.portIsHeld() {
		u.token.exposed = why
	}
}

// renewToken puts another token in force if a request prepared one, or if the token
// in force may be known. It is called while no gateway is alive. If the file system
// takes no new token, it returns an error and the gateway does not start, because
// the old token must not work again.
func (u *gatewayUnit) renewToken() error {
	why := u.token.exposed
	if !u.token.rotate && why == "" {
		return nil
	}
	if !u.token.rotate {
		if err := u.c.Token.Prepare(); err != nil {
			return fmt.Errorf("cannot replace the token, which may be known (%s): %w", why, err)
		}
	}
	if err := u.c.Token.Commit(); err != nil {
		if u.token.rotate { // the next try prepares another
			u.token.rotate = false
			u.token.exposed = "a requested rotation failed"
		}
		return err
	}
	if err := u.c.ForgetClients(); err != nil {
		u.fault("cannot forget the clients of the former token", err)
	}
	u.token.rotate, u.token.exposed = false, ""
	line := u.log.Info().Str("event", evRotated)
	if why != "" {
		line.Str("detail", why)
	}
	line.Msg("")
	return nil
}
