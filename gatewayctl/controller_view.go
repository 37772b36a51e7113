// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"gatewayinit/gatewayctl/controller"
	"gatewayinit/gatewayctl/witness"
	"gatewayinit/internal/status"
	"gatewayinit/supervisor/control"
	"gatewayinit/supervisor/proof"
)

// lookAsController returns a look without a record. All in it was found out now.
func (a *app) lookAsController(ctx context.Context) view {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c, err := a.controller(ctx, func(string) {})
	if err != nil {
		v := view{verdict: controlVerdict(err)}
		if errors.Is(err, controller.ErrNone) {
			v.topology = controller.None
		}
		return v
	}
	defer c.Close()
	k := c.Supervisor.Key
	v := view{topology: c.Supervisor.Topology, port: c.Port, owns: c.Supervisor.Owns, checks: checks{
		held(checkSupervisor, "pid %d, child of pid %d, has gateway-init's shape; who started it cannot be proved", k.PID, k.PPID),
		{name: checkControl, result: status.NotAvailable, detail: fmt.Sprintf("the request FIFO is uid %d's", k.UIDs[0])},
	}}
	g, err := c.Gateway(ctx)
	if err != nil {
		v.verdict = controlVerdict(err)
		if !errors.Is(err, controller.ErrIdle) {
			v.checks = append(v.checks, unavailable(checkGateway, err))
		}
		return v
	}
	defer g.Close()
	v.pid = g.Key.PID
	v.checks = append(v.checks, held(checkGateway, "pid %d, child of pid %d, has the token", g.Key.PID, g.Key.PPID),
		held(checkGatewayUID, "all four are %d, the agent's too", g.Key.UIDs[0]))
	answer, err := c.Judge(ctx, g, proof.Prove)
	if err != nil {
		v.checks = append(v.checks, unavailable(checkListener, err))
		v.verdict = notServing(control.Unproven, err.Error())
		return v
	}
	v.checks = append(v.checks, listenerOf(answer, c.Port))
	if err := c.Verdict(answer); err != nil {
		v.verdict = controlVerdict(err)
		return v
	}
	v.verdict = verdict{serving: true, code: exitOK, hint: "nothing to do"}
	return v
}

func listenerOf(a witness.Answer, port uint16) check {
	switch a.Ownership {
	case proof.Missing:
		return failed(checkListener, control.ListenerMissing, "nobody listens on port %d", port)
	case proof.Foreign:
		return failed(checkListener, control.ListenerForeign, "%s", names(a.Foreign))
	}
	return held(checkListener, "port %d is open in the gateway's process", port)
}

// controlVerdict returns the verdict for an error of a controller's look.
func controlVerdict(err error) verdict {
	f := (*controller.Failure)(nil)
	switch {
	case errors.Is(err, controller.ErrNone):
		return verdict{code: exitNoSupervisor, reason: wordNoSupervisor, detail: err.Error(), hint: hintNoSupervisor}
	case errors.Is(err, controller.ErrIdle):
		return notServing(control.NotRunning, err.Error())
	case errors.As(err, &f):
		v := notServing(f.Reason, f.Err.Error())
		v.hint = controlHint(f)
		return v
	}
	return notServing(control.Unproven, err.Error())
}
