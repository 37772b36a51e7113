// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

func cmdReload() verb {
	return verb{
		name: "reload", args: "[--timeout D]", summary: "make the gateway read its configuration again",
		help: `Sends a gateway that serves the signal of gateway.reload.signal, and proves it.
What the gateway does with the signal cannot be seen from outside.

  --timeout D   wait at most this long (default 30s)

Exit code: 0 the signal was sent and the gateway is proven, 1 failed, 3 refused,
4 not serving, 5 no supervisor, 6 the deadline passed.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, probeTimeout)
			return func(a *app, _ []string) int {
				return a.ask(control.Request{Action: control.Reload}, *timeout)
			}
		},
	}
}
