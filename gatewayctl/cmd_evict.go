// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
)

func cmdEvict() verb {
	return verb{
		name: "evict", args: "[--all]", summary: "end the agent's processes that hold the gateway's port",
		help: `Ends the processes of the agent (sandbox.user) that have a socket with the
gateway's port, so that the gateway can start, or be restarted. It never ends
the container's command or a sidecar, and asks nothing of PID 1. Afterwards:
gatewayctl recover, or gatewayctl restart --rotate-token beside a gateway.

  --all   a process can hide its sockets: if the one that has the port cannot
          be found, end every process of the agent, except the command and the
          sidecars

Exit code: 0 no other process has the port, 1 failed, 3 refused, 4 another
process still has the port (listener-foreign), 5 no supervisor.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			all := f.Bool("all", false, "")
			return func(a *app, _ []string) int { return a.evict(*all) }
		},
	}
}

// evict ends the agent's processes that have the port. If the port is not free afterwards,
// the line about the ended ones is a note.
func (a *app) evict(all bool) int {
	ctx, cancel := interruptibleContext()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, operate.LookTimeout)
	defer cancel()
	e, err := a.operator.Evict(ctx, all)
	if err != nil {
		if len(e.PIDs) > 0 {
			fmt.Fprintf(a.err, "gatewayctl: note: %s\n", e.Summary())
		}
		if !operate.IsPortTaken(err) {
			err = fmt.Errorf("cannot evict: %w", err)
		}
		return a.failed(err)
	}
	code := a.write(e.Summary() + "\n")
	if code == exitOK && len(e.PIDs) > 0 {
		a.hint("then: " + e.Next)
	}
	return code
}
