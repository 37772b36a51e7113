// SPDX-License-Identifier: Apache-2.0

package control

// Reason says why a request failed or a gateway is not proven. It is one of a
// closed set of words, which are the same in replies, logs, status and docs
// (docs/reasons.md).
type Reason string

// The closed set. ParseReply refuses any other word.
const (
	LaunchFailed    Reason = "launch-failed"    // fork or exec refused, or the re-exec child failed
	Exited          Reason = "exited"           // the new gateway ended before it was proven
	HealthTimeout   Reason = "health-timeout"   // it did not answer as configured in time
	ListenerMissing Reason = "listener-missing" // no process listens on the port
	ListenerForeign Reason = "listener-foreign" // another process listens on the port
	IdentityChanged Reason = "identity-changed" // pid or start time is no longer the same
	AuthMismatch    Reason = "auth-mismatch"    // the token in force is not ours, or none is needed
	Unproven        Reason = "unproven"         // the proof could not be made; unknown is not down
	NotRunning      Reason = "not-running"      // there is no gateway to act on
	StopTimeout     Reason = "stop-timeout"     // the old one is still there after SIGKILL
	Superseded      Reason = "superseded"       // a later stop came first
	PrepareFailed   Reason = "prepare-failed"   // an entry of "prepare" is in the way
	TokenFailed     Reason = "token-failed"     // the token cannot be written or read
	TokenChanged    Reason = "token-changed"    // the token file is not what PID 1 minted
	UnsafeConfig    Reason = "unsafe-config"    // config or executable is writable by others
	Replayed        Reason = "replayed"         // this nonce was used before
	Malformed       Reason = "malformed"        // not a frame, but its nonce was readable
	UnknownAction   Reason = "unknown-action"   // no such action or key
	QueueFull       Reason = "queue-full"       // 256 requests wait already
	ShuttingDown    Reason = "shutting-down"    // the container stops
	NotPermitted    Reason = "not-permitted"    // the action is not allowed here
	Internal        Reason = "internal"         // a bug in gateway-init; the log says more
)

// Reasons lists the closed set in the order of the documentation.
var Reasons = [...]Reason{
	LaunchFailed, Exited, HealthTimeout, ListenerMissing, ListenerForeign, IdentityChanged,
	AuthMismatch, Unproven, NotRunning, StopTimeout, Superseded, PrepareFailed, TokenFailed,
	TokenChanged, UnsafeConfig, Replayed, Malformed, UnknownAction, QueueFull, ShuttingDown,
	NotPermitted, Internal,
}

// Valid reports whether r is in the closed set.
func (r Reason) Valid() bool {
	for _, known := range Reasons {
		if r == known {
			return true
		}
	}
	return false
}
