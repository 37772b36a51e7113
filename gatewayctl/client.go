// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/users"
)

// clientKernel starts clients.
type clientKernel struct {
	users  func(*config.Config) (identities, error)
	launch func(*client.Plan, client.Grant, client.Stdio) (int, error) // runs a client to its end
}

func newClientKernel() clientKernel {
	return clientKernel{resolveUsers, (*client.Plan).Run}
}

// clientSpec describes the client to run.
type clientSpec struct {
	verb string   // for messages
	name string   // a name of "clients" in the configuration; "" if argv is the command
	argv []string // the command, or arguments to append to the client's own
	user string   // "" is the operator
	dir  string
	tty  bool
	mute bool // without stdin
	bare bool // without the token
}

// identities are the users that plan needs to decide about a client.
type identities struct{ gateway, operator users.User }

// resolveUsers resolves the gateway and the operator as PID 1 does.
func resolveUsers(c *config.Config) (who identities, err error) {
	db, err := users.Load()
	if err == nil {
		who.gateway, _, who.operator, err = db.Separate(c.Gateway.User, c.SandboxUser, c.OperatorUser)
	}
	return who, err
}

// refusal says why a client may not run.
type refusal struct {
	code  int
	err   error
	hints []string
}

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }

func refuse(code int, hint, format string, args ...any) error {
	return &refusal{code: code, err: fmt.Errorf(format, args...), hints: []string{hint}}
}

// plan decides about a client, without any effect. It reads the configuration
// file as it is now, which may differ from the one that PID 1 runs with. The
// file counts for the client only; mayHaveToken compares the gateway's uid.
func (a *app) plan(s clientSpec) (*client.Plan, identities, error) {
	var who identities
	c, err := a.local.Config()
	switch {
	case errors.Is(err, fsafe.ErrUnsafe), errors.As(err, new(*config.Error)):
		return nil, who, refuse(exitRefused, hintConfig, "unsafe-config: %w", err)
	case err != nil:
		return nil, who, refuse(exitFailed, hintConfig, "%w", err)
	}
	if who, err = a.kernel.users(c); err != nil {
		return nil, who, refuse(exitRefused, "see gateway-init.json(5), user", "unsafe-config: %w", err)
	}
	op := who.operator
	if s.user != "" && s.user != op.Name && s.user != strconv.FormatUint(uint64(op.UID), 10) {
		return nil, who, refuse(exitRefused, "docker exec -u USER CONTAINER runs a program as another user, without the token",
			"not-permitted: a client gets the token, so it runs as %s, uid %d, and as no other user", op.Name, op.UID)
	}
	argv := s.argv
	if s.name != "" {
		i := slices.IndexFunc(c.Clients, func(k config.Client) bool { return k.Name == s.name })
		if i < 0 {
			return nil, who, refuse(exitRefused, `add "clients": {"`+s.name+`": ["/path/of/program"]} to `+config.DefaultFile,
				"not-permitted: the configuration has no client %.40q", s.name)
		}
		argv = append(slices.Clone(c.Clients[i].Command), argv...)
	}
	p, err := client.New(client.Spec{
		Argv: argv, Configured: s.name != "", User: op, Dir: s.dir, TTY: s.tty,
		Env: c.OperatorEnv, PassEnv: c.OperatorPassEnv, Caller: environ.Clean(a.env), TokenEnv: c.Gateway.TokenEnv,
	})
	if err != nil {
		return nil, who, clientRefusal(err)
	}
	return p, who, nil
}

const hintConfig = "gateway-init --check-config"

// clientRefusal returns why the program does not run, with the exit code that a
// shell would have.
func clientRefusal(err error) error {
	switch {
	case errors.As(err, new(*refusal)), errors.As(err, new(*operate.NotServedError)):
		return err
	case errors.Is(err, fsafe.ErrUnsafe):
		return refuse(exitRefused, "the token goes only to programs that only root and the operator can change", "unsafe-config: %w", err)
	case errors.Is(err, client.ErrNotFound):
		return refuse(exitNotFound, "", "%w", err)
	case errors.Is(err, client.ErrNotExecutable):
		return refuse(exitNotExecutable, "", "%w", err)
	}
	return refuse(exitFailed, "", "%w", err)
}

// exec decides about the client, runs it and returns the client's exit code.
func (a *app) exec(s clientSpec) int {
	run := a.runGuarded
	if s.bare {
		run = a.runBare
	}
	err := a.separated()
	code := exitOK
	if err == nil {
		code, err = run(s)
	}
	if killed := (*client.KilledError)(nil); errors.As(err, &killed) {
		return a.fail(exitNotServing, fmt.Errorf("ended the client: %w", killed.Cause), hintsAfter(killed.Cause)...)
	}
	if err != nil {
		return a.refused(s.verb, err)
	}
	return code
}

// separated returns a refusal if there is no operator that could get the token.
func (a *app) separated() error {
	if a.operator.IsSeparated() {
		return nil
	}
	return refuse(exitRefused, "run it in a shell of the container, with the token of gatewayctl token",
		"not-permitted: nothing is separated in this container (gateway-init is not root), so no operator can be handed the token")
}

// runBare runs a client without the token. The state of the gateway does not
// matter, and no lock is held.
func (a *app) runBare(s clientSpec) (int, error) {
	p, _, err := a.plan(s)
	if err != nil {
		return 0, err
	}
	return a.runClient(s, p, client.Grant{})
}

// runGuarded runs a client with the token, while the gateway serves.
func (a *app) runGuarded(s clientSpec) (int, error) {
	g, err := a.local.Guard(a.warnOfToken)
	if err != nil {
		return 0, err
	}
	defer g.Close()
	p, who, err := a.plan(s)
	if err != nil {
		return 0, err
	}
	return a.runWithToken(s, p, g, who)
}

// runWithToken reads the token and runs the client until it exits. The caller
// must have taken g before.
func (a *app) runWithToken(s clientSpec, p *client.Plan, g *operate.Guard, who identities) (int, error) {
	if err := mayHaveToken(&g.Record, who); err != nil {
		return 0, err
	}
	secret, err := a.local.Token(context.Background())
	if err != nil {
		return 0, err
	}
	defer secret.Wipe()
	return a.runClient(s, p, g.Grant(secret))
}

// mayHaveToken refuses the token unless the gateway is the one that this
// configuration describes. Otherwise the configured users are not those that PID
// 1 keeps apart.
func mayHaveToken(r *status.Record, who identities) error {
	if r.Gateway.UID != who.gateway.UID {
		return refuse(exitRefused, "restart the container, so that PID 1 reads the configuration again",
			"unsafe-config: %s says that the gateway is uid %d, and PID 1 runs it as uid %d", config.DefaultFile, who.gateway.UID, r.Gateway.UID)
	}
	return nil
}

// runClient runs the client until it exits.
func (a *app) runClient(s clientSpec, p *client.Plan, g client.Grant) (int, error) {
	io := a.files
	if s.mute {
		io.In = nil
	}
	code, err := a.kernel.launch(p, g, io)
	if err != nil && !errors.As(err, new(*client.KilledError)) {
		return code, clientRefusal(err)
	}
	return code, err
}

// warnOfToken says what to do, because the next gateway gets the same token.
func (a *app) warnOfToken(err error) {
	fmt.Fprintf(a.err, "gatewayctl: cannot note that the token may be known: %v: run gatewayctl restart --rotate-token\n", err)
}

// hintNoToken says how to find out why a gateway does not serve.
const hintNoToken = "gatewayctl exec --no-token CMD runs a command without the token, to find out why"

// hintsAfter returns the hints after a client was killed for that cause. If the
// gateway ended, PID 1 has found the lock held and mints a new token.
func hintsAfter(cause error) []string {
	hints := []string{"gatewayctl wait waits until the gateway serves; then run it again"}
	if !errors.Is(cause, client.ErrGatewayEnded) {
		hints = append(hints, "the client may have sent the token to another listener: gatewayctl restart --rotate-token")
	}
	return hints
}

func (a *app) refused(verb string, err error) int {
	if errors.As(err, new(*operate.TokenError)) {
		return a.failed(err)
	}
	code, hints := exitFailed, []string(nil)
	if e := (*refusal)(nil); errors.As(err, &e) {
		code, err, hints = e.code, e.err, e.hints
	}
	if e := (*operate.NotServedError)(nil); errors.As(err, &e) {
		code, hints = e.Code, []string{e.Hint}
		if code == exitNotServing {
			hints = append(hints, "gatewayctl wait waits until the gateway serves; "+hintNoToken)
		}
	}
	return a.fail(code, fmt.Errorf("cannot %s: %w", verb, err), hints...)
}
