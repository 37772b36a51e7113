// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"net/netip"
	"slices"

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
func (e *common) portIsHeld() bool { return e.hidesPort() || len(e.c.Held) > 0 }

// cover is one address of the gateway with the cookies of all listeners that cover it.
type cover struct {
	addr    netip.AddrPort
	cookies []uint64
}

// coverOf returns the best address that the gateway's listeners have.
func coverOf(ls []sockets.Listener) (c cover) {
	c.addr = proof.Address(ls)
	for _, l := range ls {
		if proven.Covers(l.Addr, c.addr) && l.Cookie != 0 {
			c.cookies = append(c.cookies, l.Cookie)
		}
	}
	slices.Sort(c.cookies)
	return c
}

// listenerStays reports whether the gateway has its port after the worker's answer, with the
// same sockets as before. A worker that waited for the listener had none to compare with.
func (p *prover) listenerStays() bool {
	r, before := &p.run.r, p.run.cover
	if !p.listenerHeld() {
		return false
	}
	now := p.run.cover
	switch {
	case before.addr.IsValid() && (before.addr != now.addr || !slices.Equal(before.cookies, now.cookies)):
		r.reason, r.detail = reason.Unproven, "the gateway's listeners changed during the proof"
	case len(now.cookies) > proven.MaxCookies:
		r.reason, r.detail = reason.Unproven, now.addr.String()+" has more than "+formatInt(proven.MaxCookies)+" listeners"
	default:
		return true
	}
	return false
}

// life returns the life of the gateway that the proof is about.
func (r *proofRun) life(uid uint32) proven.Life {
	if !r.gateway.alive() {
		return proven.Life{}
	}
	return proven.Life{Generation: r.gateway.life, Addr: r.cover.addr, UID: uid, Cookies: r.cover.cookies, PIDFD: r.gateway.proc.PIDFD()}
}
