// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/inspector"
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
	local  *Local
	caller external.Caller
}

// IsSeparated returns false.
func (External) IsSeparated() bool { return false }

// run calls f with a Controller.
func (e External) run(ctx context.Context, say func(string), f func(*external.Controller) error) error {
	cfg, err := e.local.readConfig()
	if err != nil {
		return err
	}
	c, err := external.New(ctx, cfg, e.caller, say)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

// Do reports only the proved result.
func (e External) Do(ctx context.Context, r control.Request, say func(string)) (result Result, err error) {
	err = e.run(ctx, say, func(c *external.Controller) error { result, err = c.Do(ctx, r); return err })
	return result, err
}

// Adopt also has the supervisor start a gateway, and proves it.
func (e External) Adopt(ctx context.Context, _ View, say func(string)) (old, started procfs.ID, err error) {
	err = e.run(ctx, say, func(c *external.Controller) error { old, started, err = c.Adopt(ctx); return err })
	return old, started, err
}

// Token reads the token as the supervisor's user. Nothing about it is proved.
func (e External) Token(ctx context.Context) (secret *tokenfile.Secret, err error) {
	if err := e.local.checkHardened(); err != nil {
		return nil, err
	}
	err = e.run(ctx, func(string) {}, func(c *external.Controller) error { secret, err = c.Token(ctx); return err })
	return secret, err
}

// Look checks every fact now. Its view has no record.
func (e External) Look(ctx context.Context) View {
	ctx, cancel := context.WithTimeout(ctx, LookTimeout)
	defer cancel()
	var v View
	if err := e.run(ctx, func(string) {}, func(c *external.Controller) error { return v.lookFrom(ctx, c) }); err != nil {
		v.Verdict = verdictOf(err)
		if errors.Is(err, external.ErrNone) {
			v.Topology = external.None
		}
	}
	return v
}

// lookFrom fills in what c sees. The error says why the gateway does not serve.
func (v *View) lookFrom(ctx context.Context, c *external.Controller) error {
	s := c.Supervisor
	v.Topology, v.Port, v.owns = s.Topology, c.Port, s.Owns
	v.Checks = Checks{
		PassCheck(CheckSupervisor, "pid %d, child of pid %d, has gateway-init's shape; who started it cannot be proved", s.PID, s.PPID),
		{Name: CheckControl, Result: status.NotAvailable, Detail: fmt.Sprintf("the request FIFO is uid %d's", s.UIDs[0])},
	}
	g, err := c.FindGateway(ctx)
	if errors.Is(err, external.ErrIdle) {
		return err
	}
	if err != nil {
		v.Checks = append(v.Checks, skipCheck(CheckGateway, err))
		return err
	}
	defer g.Close()
	v.PID = g.PID
	v.Checks = append(v.Checks, PassCheck(CheckGateway, "pid %d, child of pid %d, has the token", g.PID, g.PPID),
		PassCheck(CheckGatewayUID, "all four are %d, the agent's too", g.UIDs[0]))
	answer, err := c.Judge(ctx, g, proof.Prove)
	if err != nil {
		v.Checks = append(v.Checks, skipCheck(CheckListener, err))
		return err
	}
	v.Checks = append(v.Checks, listenerOf(answer, c.Port))
	v.Verdict = Verdict{Serving: true, Code: ExitOK, Hint: "nothing to do"}
	return c.Verdict(answer)
}

func listenerOf(a inspector.Answer, port uint16) Check {
	switch a.Ownership {
	case proof.Missing:
		return FailCheck(CheckListener, reason.ListenerMissing, "no process listens on port %d", port)
	case proof.Foreign:
		return FailCheck(CheckListener, reason.ListenerForeign, "%s", names(a.Foreign))
	}
	return PassCheck(CheckListener, "port %d is open in the gateway's process", port)
}
