// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

func cmdRecover() verb {
	return verb{
		name: "recover", args: "[--timeout D]", summary: "make the gateway serve, and change as little as possible",
		help: `Leaves a gateway alone that serves. Starts one that does not run, at once and
also in backoff. Restarts one only if it certainly does not serve.

  --timeout D   wait at most this long (default 120s)

Exit code: 0 it serves and is proven, 1 failed, 3 refused, 4 not serving,
5 no supervisor, 6 the deadline passed (the request stays queued).
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, restartTimeout)
			return func(a *app, _ []string) int {
				return a.ask(control.Request{Action: control.Recover}, *timeout)
			}
		},
	}
}
