// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/inspector"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// lookAsController returns a view without a record. It checks every fact now.
func (a *app) lookAsController(ctx context.Context) view {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c, err := a.controller(ctx, func(string) {})
	if err != nil {
		v := view{verdict: externalVerdict(err)}
		if errors.Is(err, external.ErrNone) {
			v.topology = external.None
		}
		return v
	}
	defer c.Close()
	k := c.Supervisor.Key
	v := view{topology: c.Supervisor.Topology, port: c.Port, owns: c.Supervisor.Owns, checks: checks{
		checkHeld(checkSupervisor, "pid %d, child of pid %d, has gateway-init's shape; who started it cannot be proved", k.PID, k.PPID),
		{name: checkControl, result: status.NotAvailable, detail: fmt.Sprintf("the request FIFO is uid %d's", k.UIDs[0])},
	}}
	g, err := c.Gateway(ctx)
	if err != nil {
		v.verdict = externalVerdict(err)
		if !errors.Is(err, external.ErrIdle) {
			v.checks = append(v.checks, checkUnavailable(checkGateway, err))
		}
		return v
	}
	defer g.Close()
	v.pid = g.Key.PID
	v.checks = append(v.checks, checkHeld(checkGateway, "pid %d, child of pid %d, has the token", g.Key.PID, g.Key.PPID),
		checkHeld(checkGatewayUID, "all four are %d, the agent's too", g.Key.UIDs[0]))
	answer, err := c.Judge(ctx, g, proof.Prove)
	if err != nil {
		v.checks = append(v.checks, checkUnavailable(checkListener, err))
		v.verdict = notServingVerdict(reason.Unproven, err.Error())
		return v
	}
	v.checks = append(v.checks, listenerOf(answer, c.Port))
	if err := c.Verdict(answer); err != nil {
		v.verdict = externalVerdict(err)
		return v
	}
	v.verdict = verdict{serving: true, code: exitOK, hint: "nothing to do"}
	return v
}

func listenerOf(a inspector.Answer, port uint16) check {
	switch a.Ownership {
	case proof.Missing:
		return checkFailed(checkListener, reason.ListenerMissing, "no process listens on port %d", port)
	case proof.Foreign:
		return checkFailed(checkListener, reason.ListenerForeign, "%s", names(a.Foreign))
	}
	return checkHeld(checkListener, "port %d is open in the gateway's process", port)
}

// externalVerdict returns the verdict for an error of a controller's look.
func externalVerdict(err error) verdict {
	f := (*external.Failure)(nil)
	switch {
	case errors.Is(err, external.ErrNone):
		return verdict{code: exitNoSupervisor, reason: wordNoSupervisor, detail: err.Error(), hint: hintNoSupervisor}
	case errors.Is(err, external.ErrIdle):
		return notServingVerdict(reason.NotRunning, err.Error())
	case errors.As(err, &f):
		v := notServingVerdict(f.Reason, f.Err.Error())
		v.hint = externalHint(f)
		return v
	}
	return notServingVerdict(reason.Unproven, err.Error())
}
