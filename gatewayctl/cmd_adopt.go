// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
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
				return a.carryOut("adopt", *timeout, func(ctx context.Context, say func(string)) (operate.Result, error) {
					return a.operator.Adopt(ctx, say)
				}, adopted)
			}
		},
	}
}

// adopted returns the result line.
func adopted(r operate.Result) string {
	if r.Outcome == control.AlreadyRunning {
		return fmt.Sprintf("already ours: pid %d, proven", r.NewPID)
	}
	return fmt.Sprintf("adopted: pid %d → %d, proven", r.OldPID, r.NewPID)
}
