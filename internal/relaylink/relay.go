// SPDX-License-Identifier: Apache-2.0

package relaylink

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Relay is gateway-relay's end.
type Relay struct {
	fd int
	in update
}

// Open takes over the inherited descriptor.
func Open(fd int) (*Relay, error) {
	if !sys.IsPacketSocket(fd) {
		return nil, fmt.Errorf("cannot use descriptor %d as the channel to PID 1: it is not one half of a SOCK_SEQPACKET pair", fd)
	}
	return &Relay{fd: fd}, nil
}

// FD returns the descriptor, for epoll(7).
func (r *Relay) FD() int { return r.fd }

// Update is a message of PID 1. If Proven is false, no life is.
type Update struct {
	Proven bool
	Life   proven.Life // without Proven only its generation; the receiver owns its pidfd
}

// Next returns the next message. It never waits, and ok says whether there was one. The
// error is io.EOF when PID 1 has closed its end.
func (r *Relay) Next() (u Update, ok bool, err error) {
	n, pidfd, err := sys.ReceivePacket(r.fd, r.in[:], true)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return u, false, nil
	case err == nil && n == 0:
		return u, false, io.EOF
	case err == nil && n != updateSize:
		err = errMessage
	}
	kind := byte(0)
	if err == nil {
		kind, u.Life, err = r.in.decode()
	}
	if err == nil && kind == kindLife {
		u.Proven, u.Life.PIDFD = true, pidfd
		return u, true, nil
	}
	if pidfd >= 0 {
		sys.Close(pidfd)
	}
	if err != nil {
		return Update{}, false, fmt.Errorf("cannot read from PID 1: %w", err)
	}
	return u, true, nil
}

// AskProof asks PID 1 to prove the gateway of that generation again. It never waits. If
// PID 1 does not read, a request is on its way already.
func (r *Relay) AskProof(generation uint64) {
	b := Request{generation}.encode()
	_ = sys.SendPacket(r.fd, b[:], -1)
}
