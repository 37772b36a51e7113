// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

func cmdStop() verb {
	return verb{
		name: "stop", args: "[--timeout D]", summary: "stop the gateway and keep it stopped",
		help: `The container and its command keep running. After a restart of the container
the gateway runs again.

  --timeout D   wait at most this long (default 60s)

Exit code: 0 stopped, 1 failed, 3 refused, 5 no supervisor, 6 the deadline
passed (the request stays queued).
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, stopTimeout)
			return func(a *app, _ []string) int {
				return a.ask(control.Request{Action: control.Stop}, *timeout)
			}
		},
	}
}
