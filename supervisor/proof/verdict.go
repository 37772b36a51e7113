// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"strconv"

	"github.com/gateway-init/gateway-init/internal/reason"
)

// Verdict is the result of a worker, and its exit code. The numbers differ from the
// exit codes of Go's runtime (2) and of a re-exec child (126).
type Verdict uint8

// The verdicts.
const (
	OK            Verdict = 0
	Refused       Verdict = iota + 19 // no process listens
	Timeout                           // no answer before the deadline
	Dropped                           // closed without an answer
	AuthFailed                        // auth_check: a server error
	BadBody                           // a configured member has another value
	ForeignPeer                       // the other end does not have the gateway's uid
	TokenRefused                      // our token is not the one in force
	NoTokenNeeded                     // it answers without a token
	Unproven                          // it could not be found out
	TokenFailed                       // the token file cannot be read
	TokenChanged                      // it is not the token that PID 1 minted
	Throttled                         // it serves, and told us to ask later
	TooLong                           // an answer beyond the bounds
	NotHTTP                           // an answer that is not HTTP/1.1
	TLS                               // it speaks TLS
	NotJSON                           // no JSON object with the configured members
	AuthUnclear                       // auth_check: a status that is not configured
	OtherListener                     // the gateway listens with a socket that was not there before
	verdictEnd

	statusFirst Verdict = 48 // the first verdict of a status of knownStatuses
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
	AuthFailed:    {"it answered auth_check with a server error (5xx)", reason.HealthTimeout, true},
	BadBody:       {"a member of its body has another value than configured", reason.HealthTimeout, true},
	ForeignPeer:   {"another user answered on the port", reason.ListenerForeign, false},
	TokenRefused:  {"the gateway refused our token: its own configuration sets another, or it does not read the variable gateway.token_env; for OpenClaw, gateway.auth.token there must be \"\" (gatewayctl config seal)", reason.AuthMismatch, false},
	NoTokenNeeded: {"the gateway answers without a token: its own configuration switches authentication off; for OpenClaw, gateway.auth.mode there must be \"token\"", reason.AuthMismatch, false},
	Unproven:      {"it could not be found out", reason.Unproven, false},
	TokenFailed:   {"the token file cannot be read", reason.TokenFailed, false},
	TokenChanged:  {"the token file is not what PID 1 wrote", reason.TokenChanged, false},
	Throttled:     {"the gateway told us to ask less often", reason.Unproven, false},
	TooLong:       {"its answer is longer than the 16 KiB of a head and the 64 KiB of a body that are read", reason.Unproven, false},
	NotHTTP:       {"its answer is not HTTP/1.1", reason.Unproven, false},
	TLS:           {"it speaks TLS, and only HTTP without TLS can be proven", reason.Unproven, false},
	NotJSON:       {"its body is not a JSON object with the configured members", reason.Unproven, false},
	AuthUnclear:   {"it answered auth_check with a status that is not configured", reason.Unproven, false},
	OtherListener: {"its listener is another one than before the check", reason.Unproven, false},
}

// knownStatuses are the statuses of which a worker's exit code can name one: those of
// IANA's registry, and those of common proxies. 1 stands for any other server
// error, and 0 for the rest.
var knownStatuses = [...]uint16{
	0, 1, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308,
	400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423,
	424, 426, 428, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 521, 522, 523, 524, 530,
}

// statusVerdict returns the verdict for a status that is not configured. Only a server
// error means that the gateway does not serve.
func statusVerdict(status int) Verdict {
	for i, known := range knownStatuses {
		if status == int(known) {
			return statusFirst + Verdict(i)
		}
	}
	if status/100 == 5 {
		return statusFirst + 1
	}
	return statusFirst
}

// status returns the status of a verdict from statusVerdict, or -1.
func (v Verdict) status() int {
	if v < statusFirst || int(v-statusFirst) >= len(knownStatuses) {
		return -1
	}
	return int(knownStatuses[v-statusFirst])
}

// isServerError reports whether v is the verdict for a status from 500 to 599.
func (v Verdict) isServerError() bool { return v.status() == 1 || v.status() >= 500 }

// IsStatus reports whether v is about the status of the answer.
func (v Verdict) IsStatus() bool { return v.status() >= 0 }

// IsAnswer reports whether v is about the answer to the configured request.
func (v Verdict) IsAnswer() bool {
	return v.status() >= 0 || v == BadBody || v == NotJSON || v == TooLong
}

// known returns v, or Unproven if v is not in the set.
func (v Verdict) known() Verdict {
	if v.status() < 0 && (v >= verdictEnd || verdicts[v].text == "") {
		return Unproven
	}
	return v
}

// String returns the words for logs and status. They are ours, never the gateway's.
func (v Verdict) String() string {
	switch s := v.status(); s {
	case -1:
		return verdicts[v.known()].text
	case 0, 1:
		return "it answered with a status that is not configured"
	default:
		return "it answered with status " + strconv.Itoa(s) + ", which is not configured"
	}
}

// Reason returns the word for replies, or "" for OK.
func (v Verdict) Reason() reason.Reason {
	switch {
	case v.isServerError():
		return reason.HealthTimeout
	case v.status() >= 0:
		return reason.Unproven
	}
	return verdicts[v.known()].reason
}

// Definite reports whether v means that the gateway does not serve.
func (v Verdict) Definite() bool {
	return v.isServerError() || v.status() < 0 && verdicts[v.known()].definite
}

// FromExit returns the verdict that a worker's exit code stands for. For any other
// code it returns Unproven and false.
func FromExit(code int) (Verdict, bool) {
	if code < 0 || code > 255 {
		return Unproven, false
	}
	v := Verdict(code).known()
	return v, v == Verdict(code)
}
