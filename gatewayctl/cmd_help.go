// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/verify"
	"github.com/gateway-init/gateway-init/internal/nearest"
)

func cmdHelp() verb {
	return verb{
		name: "help", args: "[COMMAND]", summary: "explain a command", anyone: true, operands: true,
		help: "Explains COMMAND, or lists all of them.\n",
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			return func(a *app, args []string) int {
				name := strings.Join(args, " ")
				if _, ok := lookup(name); name != "" && !ok {
					return a.usage(fmt.Errorf("no help on %.40q%s", name, nearest.Hint(name, "gatewayctl help ", verbNames())), "")
				}
				return a.write(helpText(name))
			}
		},
	}
}

// helpText returns the usage of one verb, or the list of all verbs.
func helpText(name string) string {
	v, ok := lookup(name)
	if !ok {
		return overview()
	}
	usage := strings.TrimSuffix("usage: gatewayctl "+v.name+" "+v.args, " ")
	return fmt.Sprintf("%s\n\n%s.\n\n%s", usage, strings.ToUpper(v.summary[:1])+v.summary[1:], fillHelp(v.help))
}

// fillHelp puts values of the profiles into a help text. Profiles are data
// (image/profiles).
func fillHelp(help string) string {
	known, err := verify.LoadProfiles()
	if err != nil {
		return help + "\n" + err.Error() + "\n"
	}
	names, own := known.Names(), known.OwnConfig("")
	last := len(names) - 1
	return strings.NewReplacer(
		"PROFILES", strings.Join(names[:last], ", ")+" or "+names[last],
		"OWN_FILE", own.File, "TOKEN_KEY", own.Token, "MODE_KEY", own.Mode, "MODE_VALUE", own.ModeValue,
	).Replace(help)
}

func overview() string {
	var b strings.Builder
	b.WriteString("usage: gatewayctl [--runtime-dir DIR] COMMAND [FLAGS]\n\nOperates the gateway-init that is PID 1 of this container. Run it as root:\ndocker exec CONTAINER /usr/local/bin/gatewayctl status\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(&b, "  %-12s  %s\n", v.name, v.summary)
	}
	b.WriteString(`
  --runtime-dir DIR   where the supervisor has its files (default: runtime_dir
                      of /etc/gateway-init/config.json, else /run/gateway-init,
                      else /dev/.gateway-init)
  --version           the same as: gatewayctl version

Durations are written as 90s or 2m30s.

Exit codes: 0 done or serving; 1 failed; 2 usage; 3 refused; 4 not serving;
5 no supervisor here; 6 the deadline passed. Of exec and tui: the client's own.
`)
	return b.String()
}
