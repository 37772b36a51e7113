// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
)

func cmdHealth() verb {
	return verb{
		name: "health", summary: "say in one line whether the gateway serves (for HEALTHCHECK)",
		help: `Verifies the supervisor, the gateway's process and its listener against the
kernel, and reads the rest from PID 1's record. It sends nothing and does not
wait. If the supervisor does not run as root, root has no record to believe, so
root's gatewayctl asks the gateway itself.

Exit code: 0 serving, 4 not serving, 5 no supervisor.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			return func(a *app, _ []string) int {
				v := a.look()
				line := fmt.Sprintf("not serving: %s: %s\n", clean(string(v.Reason)), clean(v.Detail))
				if v.Serving {
					line = fmt.Sprintf("serving: pid %d, port %d\n", v.PID, v.Port)
				}
				if code := a.write(line); code != exitOK {
					return code
				}
				return v.Code
			}
		},
	}
}
