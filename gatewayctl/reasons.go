// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/gateway-init/gateway-init/supervisor/control"

// advice explains a reason word in a sentence and recommends the next step.
type advice struct{ text, next string }

// adviceFor returns the advice for each reason of the closed set;
// docs/reasons.md says the same at length.
func adviceFor(r control.Reason) advice {
	switch r {
	case control.LaunchFailed:
		return advice{"the gateway could not be launched", "read docker logs CONTAINER, check with: gateway-init --check-config; then: gatewayctl recover"}
	case control.Exited:
		return advice{"the gateway ended before it was proven", "read its output in docker logs CONTAINER; then: gatewayctl recover"}
	case control.HealthTimeout:
		return advice{"the gateway does not answer as configured", "read docker logs CONTAINER; then: gatewayctl restart"}
	case control.ListenerMissing:
		return advice{"nobody listens on the gateway's port", "check gateway.listen.port against the gateway's own setting; then: gatewayctl restart"}
	case control.ListenerForeign:
		return advice{"somebody else listens on the gateway's port", "end the process that holds the port (its uid is in gatewayctl status); then: gatewayctl recover"}
	case control.IdentityChanged:
		return advice{"the gateway's process is no longer the same", "gatewayctl probe, then if it fails: gatewayctl restart"}
	case control.AuthMismatch:
		return advice{"the token in force is not the one PID 1 minted", "in the gateway's own config gateway.auth.token must be \"\" and gateway.auth.mode \"token\" (in the image build: gatewayctl config seal); then: gatewayctl restart"}
	case control.Unproven:
		return advice{"the proof could not be made: unknown, not down", "wait and try: gatewayctl probe"}
	case control.NotRunning:
		return advice{"there is no gateway running", "gatewayctl start"}
	case control.StopTimeout:
		return advice{"the old gateway is still there after SIGKILL", "look for a process in state D (uninterruptible); then: gatewayctl restart, or restart the container"}
	case control.Superseded:
		return advice{"a later stop came first", "gatewayctl start"}
	case control.PrepareFailed:
		return advice{"an entry of \"prepare\" is in the way", "remove the path that gatewayctl status names; then: gatewayctl recover"}
	case control.TokenFailed:
		return advice{"the token could not be written or read", "see that the runtime directory has space (df); then: gatewayctl restart --rotate-token"}
	case control.TokenChanged:
		return advice{"the token file is not what PID 1 minted", "gatewayctl restart --rotate-token"}
	case control.UnsafeConfig:
		return advice{"the config or the gateway's executable is not safe to use", "make it root-owned and not writable by others, as docker logs CONTAINER says; then: gatewayctl restart"}
	case control.Replayed:
		return advice{"this nonce was used before", "send a new request with gatewayctl"}
	case control.Malformed:
		return advice{"the request is not a frame", "use the gatewayctl of the same version as gateway-init"}
	case control.UnknownAction:
		return advice{"the supervisor does not know this request", "use the gatewayctl of the same version as gateway-init: gatewayctl version"}
	case control.QueueFull:
		return advice{"256 requests wait already", "wait for them: gatewayctl status --watch; then try again"}
	case control.ShuttingDown:
		return advice{"the container stops", "docker start CONTAINER"}
	case control.NotPermitted:
		return advice{"the action is not allowed here", "run it as root, in a container that was started without --no-gateway"}
	case control.Internal:
		return advice{"gateway-init met a bug of its own", "read docker logs CONTAINER and report it; then: gatewayctl recover"}
	}
	return advice{"a reason this gatewayctl does not know", "gatewayctl version"}
}
