// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"errors"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// workerSlack is the time that a worker has beyond its own deadline, to start and end.
const workerSlack = 2 * time.Second

// prover owns the proofs and what they say about the gateway.
type prover struct {
	*common
	run     *proofRun // the proof in progress
	health  status.Health
	failed  int          // definite failures of a gateway that has served
	signals status.Proof // of the last proof
	// elsewhere says where a gateway listens that does not listen on its port, or is "".
	elsewhere string
}

// proofRun is a proof in progress. There is at most one.
type proofRun struct {
	gateway *child // may be nil
	worker  *child
	// listeners are those of the last look at the port.
	listeners []sockets.Listener
	r         result
}

func newProver(e *common) prover {
	return prover{common: e, health: status.Health{State: status.Unknown, Limit: healthLimit}, signals: noSignals()}
}

// begin proves the gateway g. It returns the result if the first checks decide, and nil
// if a worker was started. It abandons a proof in progress, because the new one is at
// least as important.
func (p *prover) begin(why purpose, g *child) *result {
	p.cancel()
	now := time.Now()
	p.run = &proofRun{gateway: g, r: result{purpose: why, signals: noSignals()}}
	p.run.r.signals.At = &now
	p.run.r.waits = why == startProof && g.alive() && time.Since(g.started) < policy.ListenWait
	// These checks need no network.
	if p.childHeld() && (p.run.r.waits || p.listenerHeld()) && p.ask() {
		return nil
	}
	return p.finish()
}

// cancel abandons the proof in progress. It kills the worker, and ignores an answer
// that still comes.
func (p *prover) cancel() {
	if p.run == nil {
		return
	}
	if w := p.run.worker; w.alive() {
		w.asked = true
		w.signal(syscall.SIGKILL)
	}
	p.run = nil
	p.timers.cancel(workerTimer)
}

func (p *prover) childHeld() bool {
	g, r := p.run.gateway, &p.run.r
	if !g.alive() {
		r.fail(&r.signals.Child, reason.NotRunning, "there is no gateway process", true)
		return false
	}
	switch err := p.kernel.verify(g.id); {
	case err == nil:
		r.signals.Child = status.Held
		return true
	case errors.Is(err, procfs.ErrGone), errors.Is(err, procfs.ErrReplaced):
		r.fail(&r.signals.Child, reason.IdentityChanged, err.Error(), false)
	default:
		r.reason, r.detail = reason.Unproven, err.Error()
	}
	return false
}

func (p *prover) listenerHeld() bool {
	r := &p.run.r
	ls, o, foreign, err := p.judgePort(p.run.gateway)
	if err != nil {
		r.reason, r.detail = reason.Unproven, err.Error()
		return false
	}
	switch o {
	case proof.Missing:
		r.fail(&r.signals.Listener, reason.ListenerMissing, "no process listens on port "+formatInt(int(p.port))+p.elsewhere, true)
		return false
	case proof.Foreign:
		r.exposed, r.signals.Foreign = true, listeners(foreign)
		r.fail(&r.signals.Listener, reason.ListenerForeign, p.foreignText(foreign[0]), false)
		return false
	}
	r.signals.Listener = status.Held
	p.run.listeners = ls
	return true
}

func (p *prover) foreignText(l sockets.Listener) string {
	whose := " is held by no process of the gateway"
	if !p.c.Unseparated { // without separation all have one uid
		whose = " belongs to uid " + formatInt(int(l.UID))
	}
	return l.Addr.String() + whose
}

// ask starts a worker with the gateway's UID for the network part, and reports whether
// there is one. If the fork is refused, the result is unproven.
func (p *prover) ask() bool {
	r := &p.run.r
	r.asked = true
	job := p.job(r.purpose)
	data, err := json.Marshal(job)
	if err == nil {
		l := p.c.Worker
		l.Spec.Worker = data
		l.Patience = job.Deadline + workerSlack
		l.PIDFD = max(p.run.gateway.proc.PIDFD(), 0)
		if job.Auth != nil {
			l.Spec.Token = &launch.Token{}
		}
		p.run.worker = &child{role: roleWorker}
		err = p.start(l, p.run.worker)
	}
	switch {
	case err == nil:
		p.timers.arm(workerTimer, job.Deadline+workerSlack)
		return true
	case errors.Is(err, errToken):
		r.fail(&r.signals.Auth, reason.TokenFailed, err.Error(), false)
	default:
		r.reason, r.detail, r.noRoom = reason.Unproven, err.Error(), p.isNoRoom(err)
	}
	p.run.worker = nil
	return false
}

// job returns what a worker has to do. A health check says nothing about the token.
func (p *prover) job(why purpose) proof.Job {
	job := proof.Job{Mode: proof.Prove, Port: p.port, UID: p.c.Gateway.UID, Check: p.checked(why),
		Held: p.c.Held, Auth: p.g.AuthCheck, Deadline: p.g.Health.Timeout}
	if p.run.r.waits {
		job.Wait = policy.ListenWait
		job.Deadline += job.Wait
	}
	if why == healthProof {
		job.Mode, job.Auth = proof.Health, nil
	}
	if p.c.Unseparated {
		job.PID = p.run.gateway.pid()
	}
	return job
}

// checked returns the request of a proof.
func (p *prover) checked(why purpose) config.Probe {
	if why == healthProof {
		return p.g.Health
	}
	return p.g.Ready
}

// killWorker kills a worker that did not keep its own deadline, because it was stopped
// or starved.
func (p *prover) killWorker() {
	if p.run != nil && p.run.worker.alive() {
		p.run.worker.signal(syscall.SIGKILL)
	}
}

// workerEnded takes a worker's verdict, and returns the result of the proof, or nil if
// that was abandoned. After an OK it checks the listener and the child once more.
func (p *prover) workerEnded(w *child) *result {
	if p.run == nil || p.run.worker != w {
		return nil
	}
	p.timers.cancel(workerTimer)
	verdict, ok := proof.Unproven, false
	if w.exit.Status.Exited() {
		verdict, ok = proof.FromExit(w.exit.Status.ExitStatus())
	}
	r := &p.run.r
	switch {
	case !ok:
		r.reason, r.detail = reason.Unproven, "the worker ended with "+formatInt(w.exit.Code())
		r.noRoom = p.c.Room() != nil
	case verdict == proof.OK:
		r.signals.Ready = status.Held
		if r.purpose != healthProof && p.g.AuthCheck != nil {
			r.signals.Auth = status.Held
		}
		r.ok = p.listenerStays(w) && p.childHeld()
	case r.waits && !p.listenerHeld():
		r.asked = false // it was no more than a look
		r.exposed = r.exposed || verdict == proof.ForeignPeer
	default:
		r.judge(verdict, p.checked(r.purpose))
	}
	return p.finish()
}

// finish ends the proof in progress and returns its result.
func (p *prover) finish() *result {
	r := &p.run.r
	p.run = nil
	if r.purpose == healthProof {
		r.signals.Auth = p.signals.Auth
	}
	// Looks for a listener come every few milliseconds, and each new time in the record
	// is a new file. So the time of the first one holds for a second.
	if last := p.signals.At; r.reason == reason.ListenerMissing && p.signals.Listener == status.Failed && last != nil && r.signals.At.Sub(*last) < time.Second {
		r.signals.At = last
	}
	p.signals = r.signals
	return r
}
