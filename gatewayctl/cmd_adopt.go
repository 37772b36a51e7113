// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

func cmdAdopt() verb {
	return verb{
		name: "adopt", args: "[--timeout D]", summary: "replace a gateway that was started by hand by our own",
		help: `Takes over a gateway that was started by hand (status says unsupervised). It
proves which process has the port open, and that the process answers as a
gateway does. Then it ends that process, starts our own gateway and proves it.

  --timeout D   wait at most this long in all (default 120s)

Exit code: 0 our gateway serves and is proven, 1 failed, 3 refused, 4 not
serving, 5 no supervisor could start a gateway (so nothing was ended), 6 the
deadline passed.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, restartTimeout)
			return func(a *app, _ []string) int {
				if code, ok := a.checkTimeout("adopt", *timeout); !ok {
					return code
				}
				return a.adopt(*timeout)
			}
		},
	}
}

func (a *app) adopt(timeout time.Duration) int {
	ctx, cancel := interruptibleContext()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	v := a.operator.Look(ctx)
	switch {
	case v.Serving:
		return a.write(fmt.Sprintf("already ours: pid %d, proven\n", v.PID))
	case !v.MayAdopt():
		return a.fail(v.Code, fmt.Errorf("cannot adopt: %s: %s", v.Reason, v.Detail), v.Hint)
	}
	show := a.stages("adopt")
	old, started, err := a.operator.Adopt(ctx, v, show.stage)
	show.done()
	switch {
	case errors.Is(err, external.ErrNoUnmanaged):
		return a.fail(exitNotServing, fmt.Errorf("cannot adopt: there is no gateway to take over: %w", err), "gatewayctl recover")
	case err != nil:
		return a.failed(fmt.Errorf("cannot adopt: %w", err))
	case started == old:
		return a.write(fmt.Sprintf("already ours: pid %d, proven\n", old.PID))
	case started.PID == 0:
		deadline, _ := ctx.Deadline()
		return a.ask(control.Request{Action: control.Recover}, max(time.Until(deadline), time.Millisecond))
	}
	return a.write(fmt.Sprintf("adopted: pid %d → %d, proven\n", old.PID, started.PID))
}
