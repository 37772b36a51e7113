package main

import (
	"flag"
	"fmt"
)

func cmdStatus() verb {
	return verb{
		name: "status", args: "[--json] [--watch]",
		summary: "say what runs, and what of it this program could verify",
		help: `Reads PID 1's record, holds it against the kernel and prints both.

  --json    one line of JSON instead (docs/status.md)
  --watch   print again at each change, until interrupted

Exit code: 0 the gateway serves, 4 it does not, 5 there is no supervisor.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			asJSON := f.Bool("json", false, "")
			watch := f.Bool("watch", false, "")
			return func(a *app, _ []string) int {
				if *watch {
					return a.watch(*asJSON)
				}
				v := a.look()
				return a.show(v, *asJSON, "")
			}
		},
	}
}

// show prints one view; prefix goes before it. A line that could not be written
// counts for more than what it says.
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
