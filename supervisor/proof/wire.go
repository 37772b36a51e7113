// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// ask sends one request and reads its answer. It uses the connection of the
// previous request if that is still there. A server may close that connection at
// any moment, with a 408 before (RFC 9110, 15.5.9) or without, so a request that is
// dropped there is sent again on a new connection.
func (w *worker) ask(q request, token []byte) (response, Verdict) {
	if w.conn != nil {
		if r, v := w.exchange(q, token); v != Dropped && r.status != 408 {
			return r, v
		}
	}
	if err := w.dial(); err != nil {
		return response{}, verdictOf(err)
	}
	return w.exchange(q, token)
}

// request is one request, without the token.
type request struct {
	method, path, body string
	wantBody           bool // the answer's body matters
}

// dial connects to the first address that accepts.
func (w *worker) dial() (err error) {
	w.closeConn()
	for _, addr := range w.candidates {
		w.server = netip.AddrPortFrom(addr, w.job.Port)
		if w.conn, err = w.connect(w.server); err == nil {
			w.in = &source{r: w.conn}
			return nil
		}
		w.conn = nil
		if !sys.Refused(err) && !sys.Unreachable(err) {
			return err
		}
	}
	return err
}

// connect returns a connection that was proven to lead to one of the gateway's listeners.
// Where uids prove nothing, owner looks at it later.
func (w *worker) connect(to netip.AddrPort) (*sys.Conn, error) {
	if w.ownerOf == nil {
		life := proven.Life{Addr: to, UID: w.job.UID, Cookies: SeenAt(w.found, to).Cookies, Passed: len(w.job.Held) > 0, PIDFD: -1}
		if w.job.PIDFD > 0 {
			life.PIDFD = w.job.PIDFD
		}
		return proven.Dial(&life, w.deadline)
	}
	c, err := sys.DialTCP(to, w.deadline)
	if err != nil {
		return nil, err
	}
	if w.local, err = c.LocalAddr(); err == nil && w.local == to {
		// No process listened, and the kernel gave us that very port as our own. We
		// would be talking to ourselves.
		err = errSelf
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// errSelf means that the connection leads to itself.
var errSelf = errors.New("connected to ourselves")

func (w *worker) closeConn() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// exchange sends one request and reads the answer. If the connection is not proven
// yet, it sends the request in two parts, and between them it checks which user has
// the other end of exactly this connection. So without that check no token is ever
// sent, and no answer is taken. The server cannot have answered yet, let alone have
// closed. A server that accepts only when there is data (TCP_DEFER_ACCEPT) has its
// data then.
func (w *worker) exchange(q request, token []byte) (response, Verdict) {
	if err := w.conn.Write(w.head(q)); err != nil {
		return response{}, verdictOf(err)
	}
	if v := w.owner(); v != OK {
		return response{}, v
	}
	if err := w.finish(q.body, token); err != nil {
		return response{}, verdictOf(err)
	}
	r, err := readResponse(w.in, q.wantBody)
	if err != nil {
		return r, verdictOf(err)
	}
	if r.last {
		w.closeConn()
	}
	return r, OK
}

// head returns a request up to the place of the token.
func (w *worker) head(q request) []byte {
	b := append([]byte(q.method), ' ')
	b = append(b, q.path...)
	b = append(b, " HTTP/1.1\r\nHost: 127.0.0.1:"...)
	b = strconv.AppendUint(b, uint64(w.job.Port), 10)
	b = append(b, "\r\nUser-Agent: gateway-init\r\nAccept: application/json\r\n"...)
	if q.method == "POST" {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(q.body)), 10)
		b = append(b, "\r\n"...)
	}
	return b
}

// finish sends the token, if there is one, and the rest of a request.
func (w *worker) finish(body string, token []byte) error {
	b := make([]byte, 0, 64+len(token)+len(body)) // never grown, so no copy of the token stays behind
	defer func() { clear(b) }()
	if token != nil {
		b = append(b, "Authorization: Bearer "...)
		b = append(b, token...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	b = append(b, body...)
	return w.conn.Write(b)
}

// Pauses between two looks at a connection that is not accepted yet; they
// double from the first to the last.
const (
	ownerFirst = 50 * time.Microsecond
	ownerLast  = 50 * time.Millisecond
)

// owner checks which user holds the other end of this connection. A server that has
// not accepted it yet has no socket for it. In that case owner looks again, until
// the connection has ended.
func (w *worker) owner() Verdict {
	if w.ownerOf == nil {
		return OK // it was proven before the first byte
	}
	pause, ended := ownerFirst, false
	for {
		uid, err := w.ownerOf(w.server, w.local)
		switch {
		case err == nil && uid == w.job.UID:
			return OK
		case err == nil:
			return ForeignPeer
		case !errors.Is(err, sockets.ErrUnheld):
			return Unproven
		case ended:
			return w.unheld()
		}
		// Look once more after the end, because it may have been accepted in
		// between.
		if ended, err = w.conn.Readable(pause); err != nil {
			return verdictOf(err)
		}
		pause = min(2*pause, ownerLast)
	}
}

// unheld returns the verdict on an ended connection that no process holds any more.
func (w *worker) unheld() Verdict {
	again := w.in.got > 0 // data after a complete response is a late 408, and not a response
	switch more, err := w.in.fill(); {
	case err != nil:
		return verdictOf(err)
	case more && !again:
		return Unproven // an unknown process answered half a request and was gone
	}
	return Dropped
}

// verdictOf returns the verdict for an error on the wire.
func verdictOf(err error) Verdict {
	var e *proven.Error
	switch {
	case errors.As(err, &e):
		return verdictOfProof(e)
	case errors.Is(err, proven.ErrClosed):
		return Dropped
	case sys.Refused(err), errors.Is(err, errSelf):
		return Refused
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.Is(err, errEmpty), errors.Is(err, errCut), sys.Reset(err):
		return Dropped
	case errors.Is(err, errLong):
		return TooLong
	case errors.Is(err, errTLS):
		return TLS
	case errors.Is(err, errHTTP):
		return NotHTTP
	}
	return Unproven // no socket was available, for example
}

// verdictOfProof returns the verdict for a connection that was not proven. If the
// kernel shows no connection until the deadline, the gateway does not accept any.
func verdictOfProof(e *proven.Error) Verdict {
	switch {
	case e.Verdict == proven.Foreign:
		return ForeignPeer
	case e.Verdict == proven.Unknown:
		return OtherListener
	case e.Verdict == proven.Again && !e.Mute:
		return Timeout
	}
	return Unproven
}
