// SPDX-License-Identifier: Apache-2.0

// Package proof finds out facts about a gateway: which user owns the sockets on its
// port, whether it answers as configured, and whether the token in force is ours. A
// fact that cannot be found out is a verdict of its own (Unproven), never a guess.
package proof

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/strictjson"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Work does the job in a process that has the gateway's UID. No byte is sent on a connection
// before it was proven that it leads to the gateway. The caller wipes the token. seen is what
// was proven, if the verdict is OK.
func Work(job Job, token []byte) (v Verdict, seen Seen) {
	w := &worker{job: job, listeners: sockets.Listeners}
	if job.PID != 0 {
		h := holder{pid: job.PID, uid: job.UID}
		w.listeners, w.ownerOf = h.listeners, h.ownerOf
	}
	if v = w.work(token); v == OK {
		seen = SeenAt(w.found, w.server)
	}
	return v, seen
}

// worker has its lookups in the kernel as fields for the tests, which let the port change
// hands in between.
type worker struct {
	job       Job
	listeners func(port uint16) ([]sockets.Listener, error)
	// ownerOf returns the holder of the other end, where uids prove nothing. Otherwise it is
	// nil, and each connection is proven before its first byte.
	ownerOf func(local, remote netip.AddrPort) (uint32, error)

	deadline   time.Time
	found      []sockets.Listener // before the first connection
	candidates []netip.Addr
	conn       *sys.Conn // nil: none
	in         *source
	server     netip.AddrPort // the other end
	local      netip.AddrPort // our end
}

func (w *worker) work(token []byte) Verdict {
	w.deadline = time.Now().Add(w.job.Deadline)
	defer w.closeConn()
	ls, err := w.awaitListener()
	if err != nil && !errors.Is(err, sockets.ErrMany) {
		return Unproven
	}
	w.found = ls
	if w.candidates = candidates(ls, w.isOwn); len(w.candidates) == 0 {
		if len(ls) > 0 {
			return ForeignPeer
		}
		return Refused
	}
	if v := w.check(); v != OK || w.job.Mode == Health || w.job.Auth == nil {
		return v
	}
	return w.auth(token)
}

// Pauses between two looks for a listener. They double from the first to the last.
const (
	listenFirst = 250 * time.Microsecond
	listenLast  = 2 * time.Millisecond
)

// awaitListener returns the listeners on the port as soon as there is one, or none if the
// wait is over.
func (w *worker) awaitListener() ([]sockets.Listener, error) {
	end := time.Now().Add(w.job.Wait)
	for pause := listenFirst; ; pause = min(2*pause, listenLast) {
		ls, err := w.listeners(w.job.Port)
		if err != nil || len(ls) > 0 || !time.Now().Before(end) {
			return ls, err
		}
		time.Sleep(pause)
	}
}

// isOwn reports whether a listener is the gateway's: it belongs to the gateway's uid, or PID
// 1 has made it for the gateway.
func (w *worker) isOwn(l sockets.Listener) bool {
	if len(w.job.Held) > 0 {
		return isHeld(l, w.job.Held)
	}
	return l.UID == w.job.UID
}

// candidates returns the addresses to connect to, best first. They are only those on
// which the gateway itself listens. If 127.0.0.1 were tried for a gateway that has [::1]
// alone, the agent could take 127.0.0.1 for an instant, again and again, to make a
// healthy gateway look dead.
func candidates(ls []sockets.Listener, isOwn func(sockets.Listener) bool) []netip.Addr {
	return addresses(slices.DeleteFunc(slices.Clone(ls), func(l sockets.Listener) bool { return !isOwn(l) }))
}

// check asks once and compares status and body.
func (w *worker) check() Verdict {
	c := w.job.Check
	r, v := w.ask(request{"GET", c.Path, "", len(c.JSON) > 0}, nil)
	switch {
	case w.job.Mode == Prove && (v == Dropped || v == OK && r.status == 400) && w.speaksTLS():
		return TLS
	case v != OK:
		return v
	case !slices.Contains(c.Status, r.status):
		return unexpectedStatus(r.status)
	}
	return matchBody(r.body, c.JSON)
}

// matchBody returns OK if body is a JSON object with all expected members. If nothing is
// expected, any body will do. A member with another value is the gateway's own word that
// it is not well. A body that cannot be understood says nothing.
func matchBody(body []byte, want []config.Expect) Verdict {
	if len(want) == 0 {
		return OK
	}
	v, err := strictjson.Parse(body)
	if err != nil {
		return NotJSON
	}
	for _, e := range want {
		i := slices.IndexFunc(v.Members, func(m strictjson.Member) bool { return m.Key == e.Key })
		if i < 0 {
			return NotJSON
		}
		if text, ok := v.Members[i].Value.Scalar(); !ok || text != e.Value {
			return BadBody
		}
	}
	return OK
}

// auth proves which token is in force. The gateway must refuse a request without a
// token, and must not refuse one with ours. Both requests go out on one connection,
// if the server keeps it open.
func (w *worker) auth(token []byte) Verdict {
	a := w.job.Auth
	if len(token) == 0 {
		return TokenFailed
	}
	r, v := w.ask(request{a.Method, a.Path, a.Body, false}, nil)
	switch {
	case v != OK:
		return v
	case slices.Contains(a.WithoutToken, r.status):
	case slices.Contains(a.WithToken, r.status), r.status/100 == 2:
		return NoTokenNeeded
	default:
		return authStatus(r.status)
	}
	r, v = w.ask(request{a.Method, a.Path, a.Body, false}, token)
	switch {
	case v != OK:
		return v
	case slices.Contains(a.WithToken, r.status):
		return OK
	case r.status/100 == 5, unexpectedStatus(r.status) == Throttled: // it says nothing about the token
		return authStatus(r.status)
	}
	return TokenRefused
}

// unexpectedStatus returns the verdict for a status that was not configured. A
// gateway that serves tells a client that asks too often to wait. The agent comes
// from the same address and can ask as often as it likes, so such a status must not
// end a healthy gateway.
func unexpectedStatus(status int) Verdict {
	switch status {
	case 408, 425, 429: // timeout of an idle connection, too early, too many requests
		return Throttled
	}
	return statusVerdict(status)
}

// authStatus returns the verdict for a status that says nothing about the token.
func authStatus(status int) Verdict {
	switch v := unexpectedStatus(status); {
	case v == Throttled:
		return v
	case status/100 == 5:
		return AuthFailed
	}
	return AuthUnclear
}
