// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"errors"
	"runtime"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// connectPatience bounds the proof of one connection.
const connectPatience = 3 * time.Second

// connects proves one connection to the gateway, as the worker and the relay do with each of
// theirs. A client of the published port needs no such check, because the relay makes it.
func (g *Guard) connects() error {
	if isHeld(&g.Record) {
		return nil
	}
	ls, err := g.local.Listeners(g.Record.Gateway.Port)
	if err != nil {
		return &NotServedError{NotServingVerdict(reason.Unproven, err.Error())}
	}
	seen := proof.SeenAt(ls, proof.Address(ls))
	life := proven.Life{Addr: seen.Addr, UID: g.Record.Gateway.UID, Cookies: seen.Cookies, PIDFD: int(g.gateway.Fd())}
	err = g.local.Connect(&life, time.Now().Add(connectPatience))
	runtime.KeepAlive(g.gateway)
	if err == nil {
		return nil
	}
	why := reason.Unproven
	var e *proven.Error
	switch {
	case errors.As(err, &e) && e.Verdict == proven.Foreign:
		why = reason.ListenerForeign
	case sys.Refused(err):
		why = reason.ListenerMissing
	}
	return &NotServedError{NotServingVerdict(why, err.Error())}
}
