// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

func cmdExec() verb {
	return verb{
		name: "exec", args: "[--no-token] [--tty|--no-tty] [--user U] [--dir DIR] CMD [ARG...] | --client NAME [ARG...]",
		summary:  "run a client of the gateway as the operator, with the token",
		operands: true,
		help: `CMD is an absolute path, or a name that is looked up in gatewayctl's own PATH.
Only its environment has the token. Processes that it leaves behind are ended.

The client runs only while the gateway serves (see health). If the gateway's
process ends, also for a restart, or if another uid listens on the port, the
client and all processes that it started are killed.

  --client NAME   the program of "clients" in the configuration, ARGs appended
  --no-token      run it without the token, in any state of the gateway
  --tty           give it a terminal of its own; the default if stdin and stdout
                  are terminals
  --no-tty        give it pipes
  --user U        only the operator's name or uid is accepted
  --dir DIR       its working directory (default: its HOME)

Flags end at CMD or at --. All later words belong to the client.

Exit code: the client's, or 128+n if signal n ended it; 127 no such program,
126 it cannot be executed. If no client ran: 1 failed, 2 usage, 3 refused, 4 the
gateway does not serve, 5 no supervisor. A client that was killed because the
gateway does not serve any more: 4.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			flags := clientFlags(f)
			user := f.String("user", "", "")
			name := f.String("client", "", "")
			bare := f.Bool("no-token", false, "")
			return func(a *app, args []string) int {
				s := clientSpec{verb: "exec", name: *name, argv: args, user: *user, bare: *bare}
				if err := checkCommand(s); err != nil {
					return a.usage(err, "exec")
				}
				if err := flags.apply(&s, a.stdio); err != nil {
					return a.usage(err, "exec")
				}
				return a.exec(s)
			}
		},
	}
}

func checkCommand(s clientSpec) error {
	switch {
	case s.name != "":
		return nil
	case len(s.argv) == 0 || s.argv[0] == "":
		return errors.New("no command given")
	case s.argv[0][0] != '/' && strings.Contains(s.argv[0], "/"):
		return fmt.Errorf("%.40q is neither a name nor an absolute path", s.argv[0])
	}
	return nil
}

// terminalFlags are the flags that exec and tui share.
type terminalFlags struct {
	tty, noTTY *bool
	dir        *string
}

func clientFlags(f *flag.FlagSet) terminalFlags {
	return terminalFlags{f.Bool("tty", false, ""), f.Bool("no-tty", false, ""), f.String("dir", "", "")}
}

// apply decides whether the client gets a terminal.
func (t terminalFlags) apply(s *clientSpec, io stdio) error {
	switch {
	case *t.tty && *t.noTTY:
		return errors.New("--tty and --no-tty exclude each other")
	case *t.tty && !io.inTTY:
		return errors.New("--tty needs a terminal on stdin: docker exec -it")
	case *t.dir != "" && (*t.dir)[0] != '/':
		return errors.New("--dir must be an absolute path")
	}
	s.tty = *t.tty || io.inTTY && io.outTTY && !*t.noTTY
	s.dir = *t.dir
	return nil
}
