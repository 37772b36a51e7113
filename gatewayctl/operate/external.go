// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// External is root's Operator beside a supervisor without root. It believes nothing that
// the supervisor's user could have written.
type External struct {
	local *Local
	env   []string // the supervisor's files are found by it
}

// IsSeparated returns false.
func (External) IsSeparated() bool { return false }

// run calls f with a Controller.
func (e External) run(ctx context.Context, say func(string), f func(*external.Controller) error) error {
	cfg, err := e.local.readConfig()
	if err != nil {
		return err
	}
	c, err := external.New(ctx, cfg, say)
	if err != nil {
		return err
	}
	defer c.Supervisor.Close()
	c.Request = func(ctx context.Context, r control.Request) error {
		return e.asUser(ctx, c, func(l *Local) error { _, err := l.Do(ctx, r, say); return err })
	}
	return f(c)
}

// userError is what the supervisor's user was told.
type userError struct{ error }

func (e userError) Unwrap() error { return e.error }

// asUser calls f with the Operator and with the rights of the supervisor's user.
func (e External) asUser(ctx context.Context, c *external.Controller, f func(*Local) error) error {
	uid := c.Supervisor.UIDs[0]
	if err := c.Supervisor.As(ctx, func() error { return f(newLocalOf(uid, uid, e.env)) }); err != nil {
		return userError{err}
	}
	return nil
}

// Do reports only the proved result.
func (e External) Do(ctx context.Context, r control.Request, say func(string)) (result Result, err error) {
	err = e.run(ctx, say, func(c *external.Controller) error { result, err = c.Do(ctx, r); return err })
	return result, err
}

// Token reads the token as the supervisor's user. Nothing about it is proved.
func (e External) Token(ctx context.Context) (secret *tokenfile.Secret, err error) {
	if err := e.local.checkHardened(); err != nil {
		return nil, err
	}
	err = e.run(ctx, func(string) {}, func(c *external.Controller) error {
		return e.asUser(ctx, c, func(l *Local) error { secret, err = l.Token(ctx); return err })
	})
	return secret, err
}

// Look checks every fact now. Its view has no record.
func (e External) Look(ctx context.Context) (v View) {
	ctx, cancel := context.WithTimeout(ctx, LookTimeout)
	defer cancel()
	if err := e.run(ctx, func(string) {}, func(c *external.Controller) error { v = lookFrom(ctx, c); return nil }); err != nil {
		v.Verdict = verdictOf(err)
		if errors.Is(err, external.ErrNone) {
			v.Topology = external.None
		}
	}
	v.Hint = e.Advise(v.Hint)
	return v
}

// lookFrom returns what c sees.
func lookFrom(ctx context.Context, c *external.Controller) View {
	s := c.Supervisor
	v := View{Topology: s.Topology(), Port: c.Port, owns: s.Owns, Checks: Checks{
		PassCheck(CheckSupervisor, "pid %d, child of pid %d, has gateway-init's shape; who started it cannot be proved", s.PID, s.PPID),
		{Name: CheckControl, Result: status.NotAvailable, Detail: fmt.Sprintf("the request FIFO is uid %d's", s.UIDs[0])},
	}}
	v.Verdict = Verdict{Serving: true, Code: ExitOK, Hint: "nothing to do"}
	if err := v.addGateway(ctx, c); err != nil {
		v.Verdict = verdictOf(err)
	}
	return v
}

// addGateway adds what c sees of the gateway. The error says why the gateway does not serve.
func (v *View) addGateway(ctx context.Context, c *external.Controller) error {
	add := func(checks ...Check) { v.Checks = append(v.Checks, checks...) }
	g, err := c.FindGateway(ctx)
	switch {
	case errors.Is(err, external.ErrIdle):
		return err
	case err != nil:
		add(skipCheck(CheckGateway, err))
		return err
	}
	defer g.Close()
	v.PID = g.PID
	v.owns = func(st procfs.Stat) bool { return c.Supervisor.Owns(st) || procfs.IsRelated(st.PID, v.PID) }
	add(PassCheck(CheckGateway, "pid %d, child of pid %d, has the token", g.PID, g.PPID),
		PassCheck(CheckGatewayUID, "all four are %d, the agent's too", g.UIDs[0]))
	a, err := c.Judge(ctx, g, proof.Prove)
	switch {
	case err != nil:
		add(skipCheck(CheckListener, err))
		return err
	case a.Ownership == proof.Missing:
		add(FailCheck(CheckListener, reason.ListenerMissing, "the gateway does not listen"))
	case a.Ownership == proof.Foreign:
		add(FailCheck(CheckListener, reason.ListenerForeign, "%s", names(a.Foreign)))
	default:
		add(PassCheck(CheckListener, "port %d is open in the gateway's process", a.Port))
	}
	v.Port = a.Port
	return c.Verdict(a)
}
