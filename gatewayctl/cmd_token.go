// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/tokenfile"
)

func cmdToken() verb {
	return verb{
		name: "token", args: "[--url BASE]", summary: "print the gateway's token (root only)",
		help: `Prints only the token, on one line. Only root can read it. In a container
without root, its one user can.

  --url BASE   print the dashboard's URL instead: BASE with the token in its
               fragment, which browsers do not send to the server

Exit code: 0 printed, 1 the token is not available (the error names the file and
one reason of not-readable, empty, malformed, changed), 5 no supervisor.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			base := f.String("url", "", "")
			return func(a *app, _ []string) int {
				prefix := ""
				if isGiven(f, "url") {
					var err error
					if prefix, err = urlPrefix(*base); err != nil {
						return a.usage(err, "token")
					}
				}
				return a.token(prefix)
			}
		},
	}
}

// token prints the token in one write, or why there is none.
func (a *app) token(prefix string) int {
	ctx, cancel := interruptibleContext()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, operate.LookTimeout)
	defer cancel()
	secret, err := a.operator.Token(ctx)
	if err != nil && !errors.As(err, new(*operate.TokenError)) {
		err = fmt.Errorf("cannot read the token: %w", err)
	}
	if err != nil {
		return a.failed(err)
	}
	defer secret.Wipe()
	line := make([]byte, 0, len(prefix)+tokenfile.Len+1)
	defer func() { clear(line[:cap(line)]) }()
	line = append(line, prefix...)
	line = append(line, secret.Bytes()...)
	line = append(line, '\n')
	if _, err := a.out.Write(line); err != nil {
		return a.fail(exitFailed, fmt.Errorf("cannot write token to stdout: %w", err), "")
	}
	return exitOK
}
