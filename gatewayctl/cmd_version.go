// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/version"
)

func cmdVersion() verb {
	return verb{
		name: "version", summary: "print this program's and the supervisor's version", anyone: true,
		help: "Anyone may ask for this program's; the supervisor's is read by root only.\n",
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			return func(a *app, _ []string) int {
				text := fmt.Sprintf("gatewayctl %s\n", version.String)
				dir, err := a.openRuntime()
				if err != nil {
					return a.write(text)
				}
				defer dir.Close()
				if r, err := status.Read(dir, a.owner); err == nil {
					text += fmt.Sprintf("gateway-init %s\n", clean(r.Version))
					if r.Version != version.String {
						text += "they differ: rebuild the image so that both come from one release\n"
					}
				}
				return a.write(text)
			}
		},
	}
}
