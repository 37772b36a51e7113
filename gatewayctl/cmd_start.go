// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

func cmdStart() verb {
	return verb{
		name: "start", args: "[--timeout D]", summary: "start the gateway, and wait until it is proven",
		help: `If the gateway runs already, it is proven and not changed.

  --timeout D   wait at most this long (default 120s)

Exit code: 0 it serves and is proven, 1 failed, 3 refused, 4 not serving,
5 no supervisor, 6 the deadline passed (the request stays queued).
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, restartTimeout)
			return func(a *app, _ []string) int {
				return a.ask(control.Request{Action: control.Start}, *timeout)
			}
		},
	}
}
