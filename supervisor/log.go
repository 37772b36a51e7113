// SPDX-License-Identifier: Apache-2.0

package supervisor

import "github.com/rs/zerolog"

// OriginInit returns l with the origin of lines about PID 1 and its gateway. A
// sidecar's lines have the sidecar's name as origin instead. No logger may get
// both, because its lines would have two members of the same name.
func OriginInit(l zerolog.Logger) zerolog.Logger { return withOrigin(l, "init") }

func withOrigin(l zerolog.Logger, name string) zerolog.Logger {
	return l.With().Str("origin", name).Logger()
}

// Names of log events; docs/logging.md lists them.
const (
	evStarted           = "gateway-started"
	evProven            = "gateway-proven"
	evExited            = "gateway-exited"
	evExitAuthorized    = "exit-authorized"
	evExitNotAuthorized = "exit-not-authorized"
	evStopping          = "gateway-stopping"
	evKilled            = "killed"
	evStartFailed       = "start-failed"
	evBackoff           = "backoff"
	evEvicted           = "evicted"
	evReadyTimeout      = "not-ready-in-time"
	evUnresponsive      = "gateway-unresponsive"
	evHealth            = "health"
	evRotated           = "token-rotated"
	evHolderKilled      = "token-holder-killed"
	evRequest           = "request"
	evAnswered          = "answered"
	evRefused           = "refused"
	evReplyWriteFailed  = "reply-write-failed"
	evFIFO              = "fifo-recreated"
	evStatusWriteFailed = "status-write-failed"
	evCommandStarted    = "command-started"
	evCommandFailed     = "command-failed"
	evCommandExited     = "command-exited"
	evSidecarStarted    = "sidecar-started"
	evSidecarExited     = "sidecar-exited"
	evRelayStarted      = "relay-started"
	evRelayExited       = "relay-exited"
	evRelayFailed       = "relay-failed"
	evNoGrace           = "no-grace"
	evSignal            = "signal"
	evSignalIgnored     = "signal-ignored"
	evReload            = "gateway-reload"
	evShutdown          = "shutdown"
	evTerminated        = "terminated"
	evHardening         = "hardening"
	evPaused            = "paused"
	evInternal          = "internal"
)
