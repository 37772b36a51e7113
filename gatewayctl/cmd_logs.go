// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/logfile"
)

func cmdLogs() verb {
	return verb{
		name: "logs", args: "[init|gateway|sidecars]", summary: "print the logs that are kept off the command's terminal", operands: true,
		help: `If the command owns the container's terminal (docker run -it IMAGE COMMAND), the
log of gateway-init and the output of gateway and sidecars go to files. This
prints their newest lines, or those of one of the three. Above each, a line on
stderr names the file. Control characters are shown as "?".

Without such a command everything is in: docker logs CONTAINER

Exit code: 0 printed, 1 there is no such file, 3 the files belong to another
user, 5 no supervisor.
`,
		setup: func(*flag.FlagSet) func(*app, []string) int {
			return func(a *app, args []string) int {
				names := logfile.Names()
				switch name := strings.Join(args, " "); {
				case name == "":
				case slices.Contains(names, name+".log"):
					names = []string{name + ".log"}
				default:
					return a.usage(fmt.Errorf("no log %.40q: it is init, gateway or sidecars", name), "logs")
				}
				return a.logs(names)
			}
		},
	}
}

// logs prints the logs of these names.
func (a *app) logs(names []string) int {
	ctx, cancel := context.WithTimeout(context.Background(), operate.LookTimeout)
	defer cancel()
	logs, err := a.operator.Logs(ctx, names)
	if errors.Is(err, operate.ErrNoLogs) {
		return a.noLogs(ctx, names)
	}
	if err != nil {
		return a.failed(fmt.Errorf("cannot show logs: %w", err))
	}
	for _, l := range logs {
		fmt.Fprintf(a.err, "== %s ==\n", clean(l.Path))
		if code := a.write(cleanLines(string(l.Text))); code != exitOK {
			return code
		}
	}
	return exitOK
}

// noLogs prints why none of these logs exists.
func (a *app) noLogs(ctx context.Context, names []string) int {
	why := "no log of this container is in a file: read docker logs CONTAINER"
	if others, err := a.operator.Logs(ctx, logfile.Names()); err == nil && len(others) > 0 {
		why = fmt.Sprintf("there is no %s: see gatewayctl logs, and docker logs CONTAINER", strings.Join(names, ", "))
		if slices.Equal(names, []string{logfile.Sidecars}) {
			why = "the configuration has no sidecars"
		}
	}
	return a.fail(exitFailed, errors.New("cannot show logs: "+why))
}

// cleanLines makes text safe for a terminal, as clean does, and keeps its lines. The last
// line gets an end. It does not depend on our stdout, because without -t docker exec gives
// us a pipe, and copies it to a terminal.
func cleanLines(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, text)
}
