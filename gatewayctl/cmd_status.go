// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/gateway-init/gateway-init/internal/status"
)

func cmdStatus() verb {
	return verb{
		name: "status", args: "[--json] [--watch] [--require-separation]",
		summary: "say what runs, and what of it this program could verify",
		help: `Reads PID 1's record, holds it against the kernel and prints both.

  --json    one line of JSON instead (docs/status.md)
  --watch   print again at each change, until interrupted
  --require-separation
            fail as well if the agent has the gateway's user (gateway-init is
            not root)

Exit code: 0 the gateway serves, 3 it does and nothing is separated as
--require-separation demands, 4 it does not serve, 5 there is no supervisor.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			asJSON := f.Bool("json", false, "")
			watch := f.Bool("watch", false, "")
			separate := f.Bool("require-separation", false, "")
			return func(a *app, _ []string) int {
				if *watch && *separate {
					return a.usage(errors.New("--watch and --require-separation do not go together"), "status")
				}
				if *watch {
					return a.watch(*asJSON)
				}
				ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
				defer cancel()
				v := a.unsupervised(ctx, a.look(ctx))
				mixed := *separate && v.code == exitOK && (v.record == nil || v.record.Separation != status.SeparationUID)
				if mixed {
					v.code = exitRefused
				}
				if code := a.show(v, *asJSON, ""); code != v.code || !mixed {
					return code
				}
				return a.fail(exitRefused, errors.New("the agent is not separated from the gateway: gateway-init is not root"),
					"run the container as root, with gateway-init as its first process")
			}
		},
	}
}

// show prints prefix and then one view. It returns the view's exit code, or
// exitFailed if the view could not be written.
func (a *app) show(v view, asJSON bool, prefix string) int {
	text := render(v, a.now(), a.color)
	if asJSON {
		var err error
		if text, err = renderJSON(v); err != nil {
			return a.fail(exitFailed, fmt.Errorf("cannot encode status: %w", err), "")
		}
	}
	if code := a.write(prefix + text); code != exitOK {
		return code
	}
	return v.code
}
