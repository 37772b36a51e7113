// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/stepdown"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// asSupervisor sends a request as the supervisor's user. Success is only the
// supervisor's answer, so its output is not shown.
func (a *app) asSupervisor(ctx context.Context, c *external.Controller, r control.Request) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return errors.New("a request needs a deadline")
	}
	left, drain := time.Until(deadline), time.Duration(r.Drain)*time.Second
	if left <= drain { // other commands took the time
		return fmt.Errorf("%w: %v is left, and the drain may take %v", context.DeadlineExceeded, max(left, 0).Round(time.Millisecond), drain)
	}
	args := []string{string(r.Action), "--timeout", left.String()}
	if r.Rotate {
		args = append(args, "--rotate-token")
	}
	if r.Drain > 0 {
		args = append(args, "--drain", drain.String())
	}
	return a.stepDownAndRun(ctx, c, client.Stdio{Err: a.files.Err}, args)
}

// tokenAsSupervisor prints the token that the supervisor's user reads. Nothing
// about that token is proved.
func (a *app) tokenAsSupervisor() int {
	ctx, cancel := interruptibleContext()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c, err := a.controller(ctx, func(string) {})
	if err == nil {
		defer c.Close()
		err = a.stepDownAndRun(ctx, c, a.files, a.args)
	}
	if err != nil {
		return a.externalFailed("read the token", err)
	}
	return exitOK
}

// stepDownAndRun runs this program with other arguments as the supervisor's user.
func (a *app) stepDownAndRun(ctx context.Context, c *external.Controller, files client.Stdio, args []string) error {
	k := c.Supervisor.Key
	p, err := stepdown.Start(ctx, stepdown.Spec{UID: k.UIDs[0], GID: k.GIDs[0], Args: args, Env: a.env, Files: [3]*os.File{files.In, files.Out, files.Err}})
	if err != nil {
		return err
	}
	return p.Await(ctx)
}
