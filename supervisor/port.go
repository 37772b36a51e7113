// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// This file has what the proof says about the sockets on the gateway's port.

// judgePort returns the listeners on the port of the gateway g, and decides whether they
// are the gateway's. It compares uids, or cookies if PID 1 has made the sockets. Where all
// processes have one uid, it looks for the processes that have the sockets open.
func (p *prover) judgePort(g *child) (ls []sockets.Listener, o proof.Ownership, foreign []sockets.Listener, err error) {
	ls, err = p.kernel.listeners(p.port)
	if errors.Is(err, sockets.ErrMany) { // a port that a stranger has filled has a stranger
		if o, foreign = p.judgeUIDs(ls); o == proof.Foreign {
			err = nil
		}
		return ls, o, foreign, err
	}
	switch {
	case err != nil:
	case p.c.Unseparated && len(p.c.Held) == 0:
		o, foreign, err = p.kernel.judge(ls, g.pid())
	default:
		o, foreign = p.judgeUIDs(ls)
	}
	return ls, o, foreign, err
}

func (p *prover) judgeUIDs(ls []sockets.Listener) (proof.Ownership, []sockets.Listener) {
	if len(p.c.Held) > 0 {
		return proof.JudgeHeld(ls, p.c.Held)
	}
	if p.hidesPort() { // no client uses another address of it
		ls = proof.OnAddress(ls, p.c.Gateway.UID)
	}
	return proof.Judge(ls, p.c.Gateway.UID)
}

// hidesPort reports whether no client connects to the gateway's own port, because each
// start has another one. Clients use the published port.
func (e *common) hidesPort() bool { return e.c.PickPort != nil }

// portIsHeld reports whether no client can reach another process by the gateway's port,
// because PID 1 holds the port that clients use.
func (e *common) portIsHeld() bool {
	return e.hidesPort() && !e.portIsTaken() || len(e.c.Held) > 0
}

// portIsTaken reports whether another process has the published port, which clients use.
func (e *common) portIsTaken() bool {
	p := e.c.Base.Publish
	return p != nil && p.Problem != ""
}

// listenerStays reports whether the gateway has its port after the answer of the worker w,
// with the same sockets as the worker saw before. Otherwise the answer may have come from
// others.
func (p *prover) listenerStays(w *child) bool {
	r := &p.run.r
	if !p.listenerHeld() {
		return false
	}
	seen, ok := proof.ParseSeen(w.found)
	now := proof.SeenAt(p.run.listeners, seen.Addr)
	switch {
	case !ok:
		r.reason, r.detail = reason.Unproven, "the worker did not say which listeners it has seen, or there are more than "+formatInt(proven.MaxCookies)
	case !seen.Equal(now):
		r.reason, r.detail = reason.Unproven, "the gateway's listeners changed during the proof"
	default:
		g := p.run.gateway
		r.life = proven.Life{Generation: g.life, Addr: now.Addr, UID: p.c.Gateway.UID, Cookies: now.Cookies, PIDFD: g.proc.PIDFD()}
		return true
	}
	return false
}
