// SPDX-License-Identifier: Apache-2.0

package main

import "flag"

func cmdTUI() verb {
	return verb{
		name: "tui", args: "[--tty|--no-tty] [--dir DIR] [ARG...]",
		summary:  "open the gateway's terminal UI: exec --client tui",
		operands: true,
		help: `Runs the client "tui" of the configuration and appends the ARGs. Write -- before
an ARG that begins with -. --tty, --no-tty and --dir are the same as for exec.

Exit code: as exec.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			flags := clientFlags(f)
			return func(a *app, args []string) int {
				s := clientSpec{verb: "tui", name: "tui", argv: args}
				if err := flags.apply(&s, a.stdio); err != nil {
					return a.usage(err, "tui")
				}
				return a.exec(s)
			}
		},
	}
}
