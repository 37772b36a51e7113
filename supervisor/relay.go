// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// RelayLink is PID 1's end of the private channel to gateway-relay (relaylink.Supervisor).
type RelayLink interface {
	Send(proven.Life) error
	SendNone(generation uint64) error
	Next() (relaylink.Request, error) // waits
	Close() error
}

// Relay is what PID 1 needs to run gateway-relay, which copies bytes between the clients of
// the published port and the gateway. Clients wait in the backlog of the sockets while no
// relay lives.
type Relay struct {
	Launch launch.Child // Pass has the sockets, and a place for the channel first
	Link   func() (ours RelayLink, theirs *os.File, err error)
}

// relay owns gateway-relay. It is no sidecar: it lives through restarts of the gateway.
type relay struct {
	*common
	child   *child
	link    RelayLink
	asks    chan relaylink.Request // to prove the gateway again
	life    proven.Life            // the one that is proven; Generation 0: none
	ended   uint64                 // the last generation that is over
	asked   time.Time              // the last proof for it
	stopped bool                   // the container ends
	backoff backoff
	rec     status.Child
	relog   zerolog.Logger
}

func newRelay(e *common) relay {
	r := relay{common: e, asks: make(chan relaylink.Request, 1), backoff: backoff{min: 10 * time.Millisecond, max: time.Second, reset: time.Second},
		rec: status.Child{Name: "relay", State: "waiting"}, relog: withOrigin(e.c.Log, "relay")}
	if e.c.Relay != nil {
		r.rec.UID = e.c.Relay.Launch.UID
	}
	return r
}

// start starts the relay, if the container has one. An error is tried again.
func (r *relay) start() {
	if r.c.Relay == nil || r.stopped || r.child != nil {
		return
	}
	if err := r.fork(); err != nil {
		r.rec.State, r.rec.PID = "failed", 0
		if r.rec.Detail != err.Error() {
			r.rec.Detail = err.Error()
			r.relog.Error().Str("event", evRelayFailed).Err(err).Msg("")
		}
		r.retry(false, 0)
		return
	}
	r.rec.State, r.rec.PID, r.rec.Detail = "running", r.child.pid(), ""
	r.relog.Info().Str("event", evRelayStarted).Int("pid", r.child.pid()).Msg("")
	r.tell()
}

func (r *relay) fork() error {
	ours, theirs, err := r.c.Relay.Link()
	if err != nil {
		return err
	}
	defer theirs.Close()
	l := r.c.Relay.Launch
	l.Pass = slices.Clone(l.Pass)
	l.Pass[0] = theirs
	c := &child{role: roleRelay, group: groupDies}
	if err := r.common.start(l, c); err != nil {
		ours.Close()
		return err
	}
	r.child, r.link = c, ours
	go r.hear(ours)
	return nil
}

// hear reads the relay's requests until the channel is closed. It reads slowly, because a
// relay that asks without end must not keep PID 1 busy.
func (r *relay) hear(ours RelayLink) {
	for {
		request, err := ours.Next()
		if err != nil {
			return
		}
		select {
		case r.asks <- request:
		default: // one waits already
		}
		time.Sleep(askPause)
	}
}

// serve tells the relay which life of the gateway is proven.
func (r *relay) serve(life proven.Life) {
	if r.c.Relay == nil || life.Generation == 0 || life.Generation <= r.ended || sameLife(r.life, life) {
		return
	}
	r.life = life
	r.tell()
}

func sameLife(a, b proven.Life) bool {
	return a.Generation == b.Generation && a.Addr == b.Addr && slices.Equal(a.Cookies, b.Cookies)
}

// end tells the relay that this life of the gateway is over. It resets its connections.
func (r *relay) end(generation uint64) {
	if r.c.Relay == nil || generation <= r.ended {
		return
	}
	r.ended, r.life = generation, proven.Life{}
	r.tell()
}

// tell sends what is known now. A relay that does not read is replaced.
func (r *relay) tell() {
	if !r.child.alive() {
		return
	}
	var err error
	if r.life.Generation > 0 {
		err = r.link.Send(r.life)
	} else {
		err = r.link.SendNone(r.ended)
	}
	if err != nil {
		r.relog.Warn().Str("event", evRelayFailed).Err(err).Msg("it does not read its channel, and is replaced")
		r.kill()
	}
}

// askPause is the least time between two requests that are read from one relay, and between
// two proofs for them. A relay that ends and starts again has another channel.
const askPause = time.Second

// wantsProof reports whether the relay's request is about the life that is proven, and does
// not come too soon.
func (r *relay) wantsProof(generation uint64, now time.Time) bool {
	if generation != r.life.Generation || now.Sub(r.asked) < askPause {
		return false
	}
	r.asked = now
	return true
}

// gone handles the end of the relay's process.
func (r *relay) gone() {
	was, code := r.child, r.child.exit.Code()
	r.child = nil
	r.link.Close()
	r.rec.State, r.rec.PID, r.rec.Detail = "stopped", 0, "ended with exit code "+formatInt(code)
	if was.err != nil {
		r.rec.State, r.rec.Detail = "failed", was.err.Error()
	}
	r.relog.Warn().Str("event", evRelayExited).Int("pid", was.pid()).Int("code", code).Str("detail", r.rec.Detail).Msg("")
	r.retry(was.err == nil, time.Since(was.started))
}

// retry arms the next start. Each end counts as a failure, because a relay never ends by
// itself.
func (r *relay) retry(executed bool, lived time.Duration) {
	if r.stopped {
		return
	}
	r.rec.Restarts++
	delay, _ := r.backoff.countFailure(exitFacts{code: -1, proven: executed, served: lived})
	r.timers.arm(relayTimer, delay)
}

// stop ends the relay for good, after the gateway. It reports whether it is gone.
func (r *relay) stop() bool {
	if !r.stopped {
		r.stopped = true
		r.timers.cancel(relayTimer)
		r.kill()
	}
	return !r.child.pending()
}

func (r *relay) kill() {
	if !r.child.alive() {
		return
	}
	r.child.asked = true
	if err := r.child.signal(syscall.SIGKILL); err != nil {
		r.fault("cannot kill the relay", err)
	}
}

// fill sets what the record says about the published port.
func (r *relay) fill(rec *status.Record) {
	if rec.Publish == nil || r.c.Relay == nil {
		return
	}
	p := *rec.Publish
	child := r.rec
	p.Relay = &child
	p.Proven = r.life.Generation > 0
	rec.Publish = &p
}
