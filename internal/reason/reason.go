// SPDX-License-Identifier: Apache-2.0

// Package reason has the words that say why a request failed, or why a gateway
// does not serve. Replies, the log, the status record, gatewayctl and
// docs/reasons.md use the same words. All that the programs say about a reason is
// in its row of the table.
package reason

// Reason is one word of a closed set. No reason is "".
type Reason string

// The closed set. Each word has its row in the table.
const (
	LaunchFailed    Reason = "launch-failed"
	Exited          Reason = "exited"
	HealthTimeout   Reason = "health-timeout"
	ListenerMissing Reason = "listener-missing"
	ListenerForeign Reason = "listener-foreign"
	IdentityChanged Reason = "identity-changed"
	AuthMismatch    Reason = "auth-mismatch"
	Unproven        Reason = "unproven"
	NotRunning      Reason = "not-running"
	StopTimeout     Reason = "stop-timeout"
	Superseded      Reason = "superseded"
	PrepareFailed   Reason = "prepare-failed"
	TokenFailed     Reason = "token-failed"
	TokenChanged    Reason = "token-changed"
	UnsafeConfig    Reason = "unsafe-config"
	NoReload        Reason = "no-reload"
	NoRoom          Reason = "no-room"
	Replayed        Reason = "replayed"
	Malformed       Reason = "malformed"
	UnknownAction   Reason = "unknown-action"
	QueueFull       Reason = "queue-full"
	ShuttingDown    Reason = "shutting-down"
	NotPermitted    Reason = "not-permitted"
	Internal        Reason = "internal"
)

// Exit codes of a request of gatewayctl that failed.
const (
	ExitFailed     = 1
	ExitRefused    = 3 // by policy
	ExitNotServing = 4
)

// List returns the closed set in the order of the table.
func List() []Reason {
	all := make([]Reason, 0, len(table))
	for _, r := range table {
		all = append(all, r.word)
	}
	return all
}

// Valid reports whether r is in the closed set.
func (r Reason) Valid() bool { return r.row() != &unknown }

// ExitCode returns the exit code of a request of gatewayctl that failed with r.
func (r Reason) ExitCode() int { return r.row().exit }

// Text returns a sentence that says what r means.
func (r Reason) Text() string { return r.row().text }

// Next returns the operator's next step.
func (r Reason) Next() string { return r.row().next }

// row returns r's row, or the address of unknown if r is not in the closed set.
func (r Reason) row() *row {
	for i := range table {
		if table[i].word == r {
			return &table[i]
		}
	}
	return &unknown
}
