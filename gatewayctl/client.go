package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"gatewayinit/internal/client"
	"gatewayinit/internal/config"
	"gatewayinit/internal/environ"
	"gatewayinit/internal/fsafe"
	"gatewayinit/internal/status"
	"gatewayinit/internal/users"
	"gatewayinit/tokenfile"
)

// clientSpec is which client is to run, and how.
type clientSpec struct {
	verb string   // for messages
	name string   // of "clients" in the configuration; "" means: argv is the command
	argv []string // the command, or what follows the client's own arguments
	user string   // "" is the operator
	dir  string
	tty  bool
	mute bool // it reads nothing
}

// identities are the users that a client is decided with.
type identities struct{ gateway, operator users.User }

// resolveUsers resolves them as PID 1 does.
func resolveUsers(c *config.Config) (who identities, err error) {
	db, err := users.Load()
	if err == nil {
		who.gateway, _, who.operator, err = db.Separate(c.Gateway.User, c.SandboxUser, c.OperatorUser)
	}
	return who, err
}

// refusal is a client that may not run.
type refusal struct {
	code int
	err  error
	hint string
}

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }

func refuse(code int, hint, format string, args ...any) error {
	return &refusal{code, fmt.Errorf(format, args...), hint}
}

// plan decides about a client, without any effect. The configuration is the
// file's of now, which may be another than PID 1 runs with: it counts for the
// client only, and mayHaveToken compares what matters.
func (a *app) plan(s clientSpec) (*client.Plan, identities, error) {
	var who identities
	c, err := a.config()
	switch {
	case errors.Is(err, fsafe.ErrUnsafe), errors.As(err, new(*config.Error)):
		return nil, who, refuse(exitRefused, hintConfig, "unsafe-config: %w", err)
	case err != nil:
		return nil, who, refuse(exitFailed, hintConfig, "%w", err)
	}
	if who, err = a.users(c); err != nil {
		return nil, who, refuse(exitRefused, "see gateway-init.json(5), user", "unsafe-config: %w", err)
	}
	op := who.operator
	if s.user != "" && s.user != op.Name && s.user != strconv.FormatUint(uint64(op.UID), 10) {
		return nil, who, refuse(exitRefused, "docker exec -u USER CONTAINER runs a program as somebody else, without the token",
			"not-permitted: a client gets the token, so it runs as %s, uid %d, and as nobody else", op.Name, op.UID)
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

// clientRefusal is why the program does not run, with the exit code that a
// shell would have.
func clientRefusal(err error) error {
	switch {
	case errors.Is(err, fsafe.ErrUnsafe):
		return refuse(exitRefused, "the token goes only to programs that nobody but root and the operator can change", "unsafe-config: %w", err)
	case errors.Is(err, client.ErrNotFound):
		return refuse(exitNotFound, "", "%w", err)
	case errors.Is(err, client.ErrNotExecutable):
		return refuse(exitNotExecutable, "", "%w", err)
	}
	return refuse(exitFailed, "", "%w", err)
}

// exec finds the token, decides about the client, and runs it; its exit code is
// ours.
func (a *app) exec(s clientSpec) int {
	if err := a.separated(); err != nil {
		return a.refused(s.verb, err)
	}
	secret, r, err := a.readToken()
	if err != nil {
		return a.noToken(err)
	}
	defer secret.Wipe()
	p, who, err := a.plan(s)
	if err == nil {
		err = mayHaveToken(&r, who)
	}
	code := exitOK
	if err == nil {
		code, err = a.runClient(s, p, &r, secret)
	}
	if err != nil {
		return a.refused(s.verb, err)
	}
	return code
}

// separated refuses a client where there is no operator to be handed the token.
func (a *app) separated() error {
	if a.owner == 0 && !a.control {
		return nil
	}
	return refuse(exitRefused, "run it in a shell of the container, with the token of gatewayctl token",
		"not-permitted: nothing is separated in this container (gateway-init is not root), so no operator can be handed the token")
}

// mayHaveToken: the token must be of the gateway that this configuration
// describes, else its users are not those that PID 1 keeps apart.
func mayHaveToken(r *status.Record, who identities) error {
	if r.Token.UID != who.gateway.UID {
		return refuse(exitRefused, "restart the container, so that PID 1 reads the configuration again",
			"unsafe-config: %s says that the gateway is uid %d, and PID 1 gave the token to uid %d", config.DefaultFile, who.gateway.UID, r.Token.UID)
	}
	return nil
}

// runClient runs it to its end.
func (a *app) runClient(s clientSpec, p *client.Plan, r *status.Record, secret *tokenfile.Secret) (int, error) {
	if r.State != status.Running {
		// The client may be for finding out why.
		fmt.Fprintf(a.err, "gatewayctl: note: the gateway does not serve (%s)\n", clean(r.State))
	}
	io := a.files
	if s.mute {
		io.In = nil
	}
	code, err := a.launch(p, secret, io)
	if err != nil {
		return code, clientRefusal(err)
	}
	return code, nil
}

func (a *app) refused(verb string, err error) int {
	if e := (*refusal)(nil); errors.As(err, &e) {
		return a.fail(e.code, fmt.Errorf("cannot %s: %w", verb, e.err), e.hint)
	}
	return a.fail(exitFailed, fmt.Errorf("cannot %s: %w", verb, err), "")
}
