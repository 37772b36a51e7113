// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// purpose says why a proof is made.
type purpose uint8

// The purposes.
const (
	startProof   purpose = iota // a gateway starts
	requestProof                // a request has asked for it
	healthProof                 // the regular health check
)

// result is the result of a proof. A signal that the proof did not reach is
// not-available.
type result struct {
	purpose  purpose
	ok       bool
	definite bool // the gateway certainly does not serve
	reason   reason.Reason
	detail   string
	asked    bool // a worker was used, so the pause before the next proof is longer
	waits    bool // the worker waits for the listener first
	noRoom   bool // the worker lacked pids or memory
	exposed  bool // a foreign listener was seen, so the token may be known
	signals  status.Proof
	life     proven.Life // that was proven, if ok
}

// noSignals is the proof of a gateway about which nothing is proven.
func noSignals() status.Proof {
	return status.Proof{Child: status.NotAvailable, Listener: status.NotAvailable,
		Ready: status.NotAvailable, Auth: status.NotAvailable}
}

func (r *result) fail(signal *string, why reason.Reason, detail string, definite bool) {
	*signal = status.Failed
	r.reason, r.detail, r.definite = why, detail, definite
}

// judge records a verdict on an answer to the request asked, under the signal that it is
// about.
func (r *result) judge(v proof.Verdict, asked config.Probe) {
	text := v.String()
	if v.IsAnswer() {
		text = "GET " + asked.Path + ": " + text + ": " + r.wanted(v, asked)
	}
	switch v.Reason() {
	case reason.AuthMismatch, reason.TokenChanged, reason.TokenFailed:
		r.signals.Ready = status.Held
		r.fail(&r.signals.Auth, v.Reason(), text, v.Definite())
	case reason.ListenerForeign, reason.ListenerMissing:
		r.exposed = r.exposed || v == proof.ForeignPeer
		r.fail(&r.signals.Listener, v.Reason(), text, v.Definite())
	case reason.Unproven:
		r.reason, r.detail = reason.Unproven, text
	default:
		r.fail(&r.signals.Ready, v.Reason(), text, v.Definite())
	}
}

// maxWanted bounds the members that a detail names, in bytes.
const maxWanted = 200

// wanted says what the configuration demands of an answer that has the verdict v, and
// where it does.
func (r *result) wanted(v proof.Verdict, asked config.Probe) string {
	key := "gateway.ready."
	if r.purpose == healthProof {
		key = "gateway.health."
	}
	if v.IsStatus() {
		var codes []string
		for _, code := range asked.Status {
			codes = append(codes, formatInt(code))
		}
		wanted := key + "status is [" + strings.Join(codes, ", ") + "]"
		if !v.Definite() { // the gateway works, and waiting does not change its answer
			wanted += ": correct that, or " + key + "path"
		}
		return wanted
	}
	var members []string
	for _, e := range asked.JSON {
		members = append(members, strconv.Quote(e.Key)+": "+e.Value)
	}
	return fmt.Sprintf("%sjson is {%.*s}", key, maxWanted, strings.Join(members, ", "))
}
