// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Bounds of proving.
const (
	healthLimit  = policy.Failures // not-serving results in a row before the gateway is replaced
	longerStarts = 3               // so often ready.give_up doubles, with each failure in a row
)

// forget drops what was proven about a former gateway, because the next one is there.
func (p *prover) forget() {
	p.signals = noSignals()
	p.signals.Child = status.Held
	p.elsewhere = ""
}

// lookElsewhere finds the ports on which the gateway's user listens. It looks once for
// each start, because a look costs more the more sockets there are. Where all processes
// have one uid it does not.
func (p *prover) lookElsewhere() {
	if p.c.Unseparated {
		return
	}
	ls, err := p.kernel.ofUser(p.c.Gateway.UID)
	if err != nil || len(ls) == 0 { // it is only a hint
		return
	}
	var at []string
	for _, l := range ls[:min(len(ls), 4)] {
		at = append(at, l.Addr.String())
	}
	p.elsewhere = "; the gateway's user listens on " + strings.Join(at, ", ") + ": correct gateway.listen.port"
}

// tryAgain arms the next attempt to prove a gateway of this age, after the result r.
func (p *prover) tryAgain(r *result, age time.Duration) {
	p.timers.arm(attemptTimer, policy.AttemptPause(age, r.asked || r.reason != reason.ListenerMissing))
	p.health = status.Health{State: status.Unknown, Limit: healthLimit, At: r.signals.At, Detail: r.detail}
	if r.definite {
		p.health.State = status.NotServing
	}
}

// asks reports whether a worker waits for the gateway's answer.
func (p *prover) asks() bool { return p.run != nil && p.run.r.asked }

// isDown reports whether the gateway definitely did not serve at the last proof.
func (p *prover) isDown() bool { return p.health.State == status.NotServing }

// holdsPort reports whether g is alive, after it was found that the listeners on its port
// are o's. A sidecar that has the token is started only then.
func (p *prover) holdsPort(g *child, o proof.Ownership) bool {
	return o == proof.Ours && g.alive() && p.kernel.verify(g.id) == nil
}

// note counts the definite failures. An unknown result does not change the count. A
// foreign listener never counts, because the agent must not be able to make us kill a
// healthy gateway.
func (p *prover) note(r *result) {
	if r.ok {
		p.serving()
		return
	}
	switch {
	case r.definite:
		p.health.State = status.NotServing
		p.health.Failures++
		p.failed++
	case p.health.Failures == 0:
		p.health.State = status.Unknown
	}
	p.health.Detail, p.health.At = r.detail, r.signals.At
	p.log.Warn().Str("event", evHealth).Str("reason", string(r.reason)).Str("detail", r.detail).
		Int("failures", p.health.Failures).Msg("")
}

// ready records the first proof of a gateway, and arms its health checks.
func (p *prover) ready() {
	p.serving()
	p.timers.arm(healthTimer, p.g.Health.Interval)
}

// serving and notServing set the health. foreign lists the listeners that have the port
// although there is no gateway.
func (p *prover) serving() {
	now := time.Now()
	p.health = status.Health{State: status.Serving, Limit: healthLimit, At: &now}
}

func (p *prover) notServing(detail string, foreign []status.Listener) {
	p.health = status.Health{State: status.NotServing, Limit: healthLimit, Detail: detail}
	p.signals = noSignals()
	p.signals.Foreign = foreign
}

// fill sets what the record says about proofs.
func (p *prover) fill(r *status.Record) {
	r.Health, r.Proof = p.health, p.signals
	r.Health.Failed = p.failed
}
