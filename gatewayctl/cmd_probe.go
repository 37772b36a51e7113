// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

func cmdProbe() verb {
	return verb{
		name: "probe", args: "[--timeout D]", summary: "prove the gateway now; changes nothing",
		help: `PID 1 makes a whole proof: process, listener, ready answer, and token in force.

  --timeout D   wait at most this long (default 30s)

Exit code: 0 proven, 1 failed, 3 refused, 4 not serving, 5 no supervisor,
6 the deadline passed.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, probeTimeout)
			return func(a *app, _ []string) int {
				return a.ask(control.Request{Action: control.Probe}, *timeout)
			}
		},
	}
}
