// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// Exit codes (docs/design.md, section 9, man/gatewayctl.1.md).
const (
	ExitOK           = 0 // done, or serving
	ExitFailed       = reason.ExitFailed
	ExitUsage        = 2
	ExitRefused      = reason.ExitRefused
	ExitNotServing   = reason.ExitNotServing
	ExitNoSupervisor = 5
	ExitDeadline     = 6
)

const (
	hintNoSupervisor = "is this a container whose PID 1 is gateway-init in gateway mode? see: docker logs CONTAINER"
	hintStatus       = "see: gatewayctl status"
	hintQueued       = "the request stays queued and its effect may still come; " + hintStatus
	hintRights       = "run it as the supervisor's user: docker exec " + asSupervisor + " CONTAINER /usr/local/bin/gatewayctl ...; root's exec needs SETUID, SETGID, KILL and a kernel with pidfd here (docs/managed.md)"
)

// Explain returns the exit code and the hint for an error of an Operator.
func Explain(err error) (code int, hint string) {
	var user userError
	var verdict verdictError
	var token *TokenError
	var f *external.Failure
	isFailure := errors.As(err, &f)
	unsent := errors.As(err, new(*control.UnsentError))
	switch {
	case errors.As(err, &user):
		code, hint := Explain(user.error)
		switch {
		case errors.Is(err, sys.ErrNoIDs):
			return code, hintRights
		case code == ExitNoSupervisor: // root has proved that there is one
			return ExitFailed, "if its XDG_RUNTIME_DIR is not the container's, give that: docker exec -e XDG_RUNTIME_DIR=DIR ..."
		}
		return code, hint
	case errors.As(err, &verdict):
		return verdict.Code, verdict.Hint
	case errors.As(err, &token):
		return token.explain()
	case errors.Is(err, control.ErrDeadline) && unsent:
		return ExitDeadline, "nothing was sent; see what PID 1 says: docker logs CONTAINER"
	case errors.Is(err, control.ErrDeadline):
		return ExitDeadline, hintQueued
	case errors.Is(err, control.ErrNoSupervisor), errors.Is(err, external.ErrNone):
		return ExitNoSupervisor, hintNoSupervisor
	case errors.Is(err, external.ErrNoUnmanaged):
		return ExitNotServing, "gatewayctl recover"
	case errors.Is(err, external.ErrOurs):
		return ExitRefused, "nothing was ended; status names the command and the sidecars: free the port in them"
	case errors.Is(err, context.DeadlineExceeded):
		return ExitDeadline, hintStatus
	case errors.Is(err, context.Canceled) && isFailure:
		return ExitFailed, hintStatus
	case errors.Is(err, context.Canceled) && unsent:
		return ExitFailed, "nothing was sent"
	case errors.Is(err, context.Canceled):
		return ExitFailed, hintQueued
	case isFailure:
		return f.Reason.ExitCode(), nextStep(f)
	case errors.Is(err, control.ErrUnsafe), errors.Is(err, fsafe.ErrUnsafe):
		return ExitFailed, "a process with root changed it; PID 1 puts its own files back at its next status write, or restart the container"
	case errors.Is(err, status.ErrSchema):
		return ExitFailed, "use the gatewayctl of the same version as gateway-init: rebuild the image with both"
	case errors.Is(err, fs.ErrPermission):
		return ExitRefused, "run it as root with the runtime directory's owner: docker exec -u 0 CONTAINER /usr/local/bin/gatewayctl ..."
	case errors.Is(err, fs.ErrNotExist):
		return ExitNoSupervisor, hintNoSupervisor
	}
	return ExitFailed, ""
}

// nextStep returns advice. Where it is for root beside a supervisor without root, the
// advice for the reason word does not have that root in mind.
func nextStep(f *external.Failure) string {
	switch {
	case errors.Is(f, errOthersLogs): // it says what to do
		return ""
	case errors.Is(f, external.ErrAmbiguous):
		return "where two processes are named waiting does not help: end the one that is not the real one, then try again"
	case errors.Is(f, os.ErrPermission), errors.Is(f, procfs.ErrNoPidfd):
		return hintRights
	}
	return f.Reason.Next()
}

// verdictOf returns the verdict for an error of a look.
func verdictOf(err error) Verdict {
	var f *external.Failure
	switch {
	case errors.Is(err, external.ErrNone):
		return noSupervisorVerdict(err.Error())
	case errors.Is(err, external.ErrIdle):
		return NotServingVerdict(reason.NotRunning, err.Error())
	case errors.As(err, &f):
		v := NotServingVerdict(f.Reason, f.Err.Error())
		v.Hint = nextStep(f)
		return v
	}
	v := NotServingVerdict(reason.Unproven, err.Error())
	if errors.Is(err, sys.ErrNoIDs) {
		v.Hint = hintRights
	}
	return v
}
