// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"runtime/debug"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/version"
)

func cmdVersion() verb {
	return verb{
		name: "version", summary: "print this program's and the supervisor's version", anyone: true,
		help: "Anyone may ask for this program's; the supervisor's is read by root only.\ngatewayctl --version is the same.\n",
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			return func(a *app, _ []string) int {
				info, _ := debug.ReadBuildInfo()
				own := chooseVersion(version.String, info)
				text := fmt.Sprintf("gatewayctl %s\n", own)
				dir, err := a.local.OpenRuntime()
				if err != nil {
					return a.write(text)
				}
				defer dir.Close()
				if r, err := status.Read(dir, a.local.Owner); err == nil {
					text += fmt.Sprintf("gateway-init %s\n", clean(r.Version))
					if r.Version != own {
						text += "they differ: rebuild the image so that both come from one release\n"
					}
				}
				return a.write(text)
			}
		},
	}
}

// chooseVersion returns the version that the linker set. If it set none, as in
// go install MODULE/gatewayctl@v1.2.3, the version is the module's that Go recorded.
// PID 1 does not do this: it would cost 8 KiB of its program.
func chooseVersion(linked string, info *debug.BuildInfo) string {
	if linked != version.None || info == nil || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return linked
	}
	return info.Main.Version
}
