// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/gateway-init/gateway-init/gatewayctl/operate"

// Exit codes (docs/design.md, section 9, man/gatewayctl.1.md).
const (
	exitOK           = operate.ExitOK
	exitFailed       = operate.ExitFailed
	exitUsage        = operate.ExitUsage
	exitRefused      = operate.ExitRefused
	exitNotServing   = operate.ExitNotServing
	exitNoSupervisor = operate.ExitNoSupervisor
	exitDeadline     = operate.ExitDeadline

	// The codes of a client that cannot run, as shells have them. All other
	// codes are the client's own.
	exitNotExecutable = 126
	exitNotFound      = 127
)
