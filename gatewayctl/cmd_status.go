// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/status"
)

func cmdStatus() verb {
	return verb{
		name: "status", args: "[-v] [--json] [--watch [--timeout D]] [--require-separation]",
		summary: "say whether the gateway serves, and what to do if not",
		help: `Reads PID 1's record and verifies it against the kernel. The first line says
whether the gateway serves, the second what to do; then come the facts.

  -v        the evidence too: each check, each process, each protection
  --json    one line of JSON instead, with everything (docs/status.md)
  --watch   print each change until interrupted; a terminal is redrawn
  --timeout D
            end --watch after this time (default 1h without a terminal). At most
            four processes watch or wait: one more ends the oldest
  --require-separation
            fail as well if the agent has the gateway's user (gateway-init is
            not root)

Exit code: 0 the gateway serves, 3 it serves but --require-separation is given
and the agent is not separated, 4 it does not serve, 5 there is no supervisor.
If the record cannot be read: 1, or 3 without the permission.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			asJSON := f.Bool("json", false, "")
			verbose := f.Bool("v", false, "")
			watch := f.Bool("watch", false, "")
			timeout := timeoutFlag(f, 0)
			separate := f.Bool("require-separation", false, "")
			return func(a *app, _ []string) int {
				if *watch && *separate {
					return a.usage(errors.New("--watch and --require-separation do not go together"), "status")
				}
				if isGiven(f, "timeout") {
					if !*watch {
						return a.usage(errors.New("--timeout needs --watch"), "status")
					}
					if code, ok := a.checkTimeout("status", *timeout); !ok {
						return code
					}
				}
				how := format{json: *asJSON, verbose: *verbose, color: a.color}
				if *watch {
					return a.watch(how, *timeout)
				}
				ctx, cancel := context.WithTimeout(context.Background(), operate.LookTimeout)
				defer cancel()
				v := a.local.AddUnmanaged(ctx, a.operator.Look(ctx))
				mixed := *separate && v.Code == exitOK && (v.Record == nil || v.Record.Separation != status.SeparationUID)
				if mixed {
					v.Code = exitRefused
				}
				if code := a.show(v, how); code != v.Code || !mixed {
					return code
				}
				return a.fail(exitRefused, errors.New("the agent is not separated from the gateway: gateway-init is not root"),
					"run the container as root, with gateway-init as its first process")
			}
		},
	}
}

// show prints one view. It returns the view's exit code, or exitFailed if the view
// could not be written.
func (a *app) show(v operate.View, f format) int {
	text := render(v, a.local.Now(), f)
	if f.json {
		var err error
		if text, err = renderJSON(v); err != nil {
			return a.fail(exitFailed, err, "")
		}
	}
	if code := a.write(text); code != exitOK {
		return code
	}
	return v.Code
}
