// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/reason"
)

// Outcome says how a request ended, or that it was accepted.
type Outcome string

// The outcomes. Another reply may follow only after Accepted.
const (
	Accepted       Outcome = "accepted"
	OK             Outcome = "ok"
	AlreadyRunning Outcome = "already-running"
	Stopped        Outcome = "stopped"
	Failed         Outcome = "failed"
)

// Reply is one answer. OldPID and NewPID are 0 where there is none.
type Reply struct {
	Nonce   string
	Outcome Outcome
	Reason  reason.Reason // with Failed only
	OldPID  int
	NewPID  int
}

// Final reports whether no other reply follows.
func (r Reply) Final() bool { return r.Outcome != Accepted }

// Result returns the reply without version and nonce, for logs and status.
func (r Reply) Result() string {
	switch r.Outcome {
	case Accepted:
		return "accepted"
	case Failed:
		return fmt.Sprintf("failed %s %d %d", r.Reason, r.OldPID, r.NewPID)
	default:
		return fmt.Sprintf("complete %s %d %d", r.Outcome, r.OldPID, r.NewPID)
	}
}

// String returns the reply as one line, without its newline.
func (r Reply) String() string { return "v1 " + r.Nonce + " " + r.Result() }

// ParseReply parses one line, with or without its newline.
func ParseReply(line string) (Reply, error) {
	f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	bad := fmt.Errorf("cannot parse reply of %d bytes", len(line))
	if len(f) < 3 || f[0] != "v1" || !isNonce(f[1]) {
		return Reply{}, bad
	}
	r := Reply{Nonce: f[1]}
	if len(f) == 3 && f[2] == "accepted" {
		r.Outcome = Accepted
		return r, nil
	}
	if len(f) != 6 {
		return Reply{}, bad
	}
	switch f[2] {
	case "failed":
		r.Outcome, r.Reason = Failed, reason.Reason(f[3])
		if !r.Reason.Valid() {
			return Reply{}, bad
		}
	case "complete":
		r.Outcome = Outcome(f[3])
		if r.Outcome != OK && r.Outcome != AlreadyRunning && r.Outcome != Stopped {
			return Reply{}, bad
		}
	default:
		return Reply{}, bad
	}
	var err1, err2 error
	r.OldPID, err1 = strconv.Atoi(f[4])
	r.NewPID, err2 = strconv.Atoi(f[5])
	if err1 != nil || err2 != nil || r.OldPID < 0 || r.NewPID < 0 || r.String() != strings.Join(f, " ") {
		return Reply{}, bad
	}
	return r, nil
}
