// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// Exit codes (docs/design.md, section 9, man/gatewayctl.1.md).
const (
	exitOK           = 0 // done, or serving
	exitFailed       = reason.ExitFailed
	exitUsage        = 2
	exitRefused      = reason.ExitRefused
	exitNotServing   = reason.ExitNotServing
	exitNoSupervisor = 5
	exitDeadline     = 6

	// The codes of a client that cannot run, as shells have them. All other
	// codes are the client's own.
	exitNotExecutable = 126
	exitNotFound      = 127
)

// errorExit returns the exit code and the hint for an error that is not a reply.
func errorExit(err error) (code int, hint string) {
	unsent := errors.As(err, new(*control.UnsentError))
	switch {
	case errors.Is(err, control.ErrDeadline) && unsent:
		return exitDeadline, "nothing was sent; see what PID 1 says: docker logs CONTAINER"
	case errors.Is(err, control.ErrDeadline):
		return exitDeadline, "the request stays queued and its effect may still come; see: gatewayctl status"
	case errors.Is(err, context.Canceled) && unsent:
		return exitFailed, "nothing was sent"
	case errors.Is(err, context.Canceled):
		return exitFailed, "the request stays queued and its effect may still come; see: gatewayctl status"
	case errors.Is(err, control.ErrNoSupervisor):
		return exitNoSupervisor, hintNoSupervisor
	case errors.Is(err, control.ErrUnsafe), errors.Is(err, fsafe.ErrUnsafe):
		return exitFailed, "a process with root changed it; PID 1 puts its own files back at its next status write, or restart the container"
	case errors.Is(err, status.ErrSchema):
		return exitFailed, "use the gatewayctl of the same version as gateway-init: rebuild the image with both"
	case errors.Is(err, fs.ErrPermission):
		return exitRefused, "run it as root with the runtime directory's owner: docker exec -u 0 CONTAINER /usr/local/bin/gatewayctl ..."
	case errors.Is(err, fs.ErrNotExist):
		return exitNoSupervisor, hintNoSupervisor
	}
	return exitFailed, ""
}

const hintNoSupervisor = "is this a container whose PID 1 is gateway-init in gateway mode? see: docker logs CONTAINER"
