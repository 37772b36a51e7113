// SPDX-License-Identifier: Apache-2.0

package reason

// row is one reason with all that the programs say about it.
type row struct {
	word Reason
	exit int
	text string // what it means
	next string // what the operator does now
}

// table has the closed set, in the order of docs/reasons.md, which has a copy of
// the rows. That page says more about some reasons.
var table = [...]row{
	{LaunchFailed, ExitFailed, "the gateway could not be launched",
		"read docker logs CONTAINER, check with: gateway-init --check-config; then: gatewayctl recover"},
	{Exited, ExitFailed, "the gateway ended before it was proven",
		"read its output in docker logs CONTAINER; then: gatewayctl recover"},
	{HealthTimeout, ExitNotServing, "the gateway does not answer as configured",
		"read docker logs CONTAINER; then: gatewayctl restart"},
	{ListenerMissing, ExitNotServing, "no process listens on the gateway's port",
		"compare gateway.listen.port with the gateway's own setting; then: gatewayctl restart, or restart the container if gateway.listen.port was wrong"},
	{ListenerForeign, ExitNotServing, "another process listens on the gateway's port",
		"end the process that holds the port: gatewayctl evict, if it is the agent's (if gatewayctl status says unsupervised: gatewayctl adopt); then: gatewayctl recover, or gatewayctl restart --rotate-token if a client or sidecar had the token"},
	{IdentityChanged, ExitFailed, "the gateway's process is no longer the same",
		"gatewayctl probe, then if it fails: gatewayctl restart"},
	{AuthMismatch, ExitNotServing, "the token in force is not the one PID 1 minted",
		"let the gateway take its token from the variable that gateway.token_env names, and from nowhere else: in OpenClaw's own config gateway.auth.token must be \"\" and gateway.auth.mode \"token\" (in the image build: gatewayctl config seal); then: gatewayctl restart"},
	{Unproven, ExitNotServing, "the proof could not be made, so it is not known whether the gateway serves",
		"wait and try: gatewayctl probe; if it fails again in the same way, do what its line says"},
	{NotRunning, ExitNotServing, "there is no gateway running",
		"gatewayctl start"},
	{StopTimeout, ExitFailed, "the old gateway is still there after SIGKILL",
		"look for a process in state D (uninterruptible); then: gatewayctl restart, or restart the container"},
	{Superseded, ExitFailed, "a later stop came first",
		"gatewayctl start"},
	{PrepareFailed, ExitFailed, "a directory of \"prepare\" could not be made",
		"do what gatewayctl status or docker logs CONTAINER says about its path; then: gatewayctl recover"},
	{TokenFailed, ExitFailed, "the token could not be written or read",
		"see that the runtime directory has space (df); then: gatewayctl restart --rotate-token"},
	{TokenChanged, ExitFailed, "the token file is not what PID 1 minted",
		"gatewayctl restart --rotate-token"},
	{UnsafeConfig, ExitRefused, "the config or the gateway's executable is not safe to use",
		"make it root-owned and not writable by others, as docker logs CONTAINER says; then: gatewayctl restart"},
	{NoReload, ExitRefused, "the configuration names no signal for a reload",
		"set gateway.reload.signal in the image's configuration; or: gatewayctl restart"},
	{NoRoom, ExitRefused, "the container has no room for another process",
		"end processes of the agent, then: gatewayctl restart; or have PID 1 end them: gatewayctl stop, then gatewayctl start (sandbox.evict)"},
	{Replayed, ExitRefused, "this nonce was used before",
		"send a new request with gatewayctl"},
	{Malformed, ExitRefused, "the request is not a frame",
		"use the gatewayctl of the same version as gateway-init"},
	{UnknownAction, ExitRefused, "the supervisor does not know this request",
		"use the gatewayctl of the same version as gateway-init: gatewayctl version"},
	{QueueFull, ExitFailed, "256 requests wait already",
		"wait for them: gatewayctl status --watch; then try again"},
	{ShuttingDown, ExitFailed, "the container stops",
		"docker start CONTAINER"},
	{NotPermitted, ExitRefused, "the action is not allowed here",
		"run it as root, in a container that was started without --no-gateway"},
	{Internal, ExitFailed, "gateway-init has a bug",
		"read docker logs CONTAINER and report it; then: gatewayctl recover"},
}

// unknown is the row of all other words. Within one schema of the status record
// words are only added, so a newer gateway-init may have one.
var unknown = row{"", ExitFailed, "a reason this gatewayctl does not know", "gatewayctl version"}
