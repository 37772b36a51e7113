// SPDX-License-Identifier: Apache-2.0

package proof

import "github.com/gateway-init/gateway-init/internal/reason"

// Verdict is the result of a worker, and its exit code. The numbers differ from the
// exit codes of Go's runtime (2) and of a re-exec child (126).
type Verdict uint8

// The verdicts.
const (
	OK            Verdict = 0
	Refused       Verdict = iota + 19 // no process listens
	Timeout                           // no answer before the deadline
	Dropped                           // closed without an answer
	BadStatus                         // another status than configured
	BadBody                           // another body than configured, or none that can be read
	ForeignPeer                       // the other end does not have the gateway's uid
	TokenRefused                      // our token is not the one in force
	NoTokenNeeded                     // it answers without a token
	Unproven                          // it could not be found out
	TokenFailed                       // the token file cannot be read
	TokenChanged                      // it is not the token that PID 1 minted
	Throttled                         // it serves, and told us to ask later
	verdictEnd
)

// verdicts has the words and the reason of each verdict, and whether it means,
// beyond doubt, that the gateway does not serve.
var verdicts = [verdictEnd]struct {
	text     string
	reason   reason.Reason
	definite bool
}{
	OK:            {"ok", "", false},
	Refused:       {"the connection was refused", reason.ListenerMissing, true},
	Timeout:       {"no answer in time", reason.HealthTimeout, true},
	Dropped:       {"the connection was closed without an answer", reason.HealthTimeout, true},
	BadStatus:     {"it answered with another status than configured", reason.HealthTimeout, true},
	BadBody:       {"it answered with another body than configured", reason.HealthTimeout, true},
	ForeignPeer:   {"another user answered on the port", reason.ListenerForeign, false},
	TokenRefused:  {"the gateway refused our token: its own configuration sets another; gateway.auth.token there must be \"\" (gatewayctl config seal)", reason.AuthMismatch, false},
	NoTokenNeeded: {"the gateway answers without a token: its own configuration switches authentication off; gateway.auth.mode there must be \"token\"", reason.AuthMismatch, false},
	Unproven:      {"it could not be found out", reason.Unproven, false},
	TokenFailed:   {"the token file cannot be read", reason.TokenFailed, false},
	TokenChanged:  {"the token file is not what PID 1 wrote", reason.TokenChanged, false},
	Throttled:     {"the gateway told us to ask less often", reason.Unproven, false},
}

// known returns v, or Unproven if v is not in the set.
func (v Verdict) known() Verdict {
	if v >= verdictEnd || verdicts[v].text == "" {
		return Unproven
	}
	return v
}

// String returns the words for logs and status. They are ours, never the gateway's.
func (v Verdict) String() string { return verdicts[v.known()].text }

// Reason returns the word for replies, or "" for OK.
func (v Verdict) Reason() reason.Reason { return verdicts[v.known()].reason }

// Definite reports whether v means that the gateway does not serve.
func (v Verdict) Definite() bool { return verdicts[v.known()].definite }

// FromExit returns the verdict that a worker's exit code stands for. For any other
// code it returns Unproven and false.
func FromExit(code int) (Verdict, bool) {
	if code < 0 || code >= int(verdictEnd) {
		return Unproven, false
	}
	v := Verdict(code).known()
	return v, v == Verdict(code)
}
