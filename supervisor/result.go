// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// result is the result of a proof. A signal that the proof did not reach is
// not-available.
type result struct {
	ok       bool
	definite bool // the gateway certainly does not serve
	reason   reason.Reason
	detail   string
	asked    bool // a worker was used, so the pause before the next proof is longer
	signals  status.Proof
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
