// SPDX-License-Identifier: Apache-2.0

// Package relaylink is the private channel between PID 1 and gateway-relay. It is a
// SOCK_SEQPACKET socketpair(2), and each packet is one message of a fixed size.
// PID 1 sends lives. The relay, which copies the bytes of strangers, can send one
// number, so PID 1 parses nothing else.
package relaylink

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/gateway-init/gateway-init/internal/proven"
)

// version is the first byte of every message. Both programs come from one build.
const version = 1

// Kinds, in the second byte.
const (
	kindLife  = 1 // to the relay, with a pidfd if there is one
	kindNone  = 2 // to the relay
	kindProve = 3 // to PID 1
)

// Sizes of the messages.
const (
	requestSize = 16
	updateSize  = 40 + 8*proven.MaxCookies
)

// errMessage means that the other end does not speak this protocol.
var errMessage = errors.New("not a message of this version")

// update is a message to the relay: version, kind, number of cookies, family (4 or 6),
// uid, generation, address, port, zeros, then the cookies. Numbers have the byte
// order of the machine.
type update [updateSize]byte

func (u *update) encode(kind byte, life proven.Life) error {
	*u = update{version, kind}
	ne := binary.NativeEndian
	ne.PutUint64(u[8:], life.Generation)
	if kind == kindNone {
		return nil
	}
	if n := len(life.Cookies); n == 0 || n > proven.MaxCookies || !life.Addr.IsValid() {
		return errMessage
	}
	u[2], u[3] = byte(len(life.Cookies)), 4
	ne.PutUint32(u[4:], life.UID)
	if a := life.Addr.Addr(); a.Is6() {
		u[3] = 6
		copy(u[16:32], a.AsSlice())
	} else {
		copy(u[16:20], a.AsSlice())
	}
	ne.PutUint16(u[32:], life.Addr.Port())
	for i, c := range life.Cookies {
		ne.PutUint64(u[40+8*i:], c)
	}
	return nil
}

// decode returns the kind and the life of a message, without the pidfd.
func (u *update) decode() (kind byte, life proven.Life, err error) {
	ne := binary.NativeEndian
	kind, life.Generation, life.PIDFD = u[1], ne.Uint64(u[8:]), -1
	switch {
	case u[0] != version:
		return 0, life, errMessage
	case kind == kindNone:
		return kind, life, nil
	case kind != kindLife || u[2] == 0 || u[2] > proven.MaxCookies:
		return 0, life, errMessage
	}
	var a netip.Addr
	switch u[3] {
	case 4:
		a = netip.AddrFrom4([4]byte(u[16:20]))
	case 6:
		a = netip.AddrFrom16([16]byte(u[16:32]))
	default:
		return 0, life, errMessage
	}
	life.Addr = netip.AddrPortFrom(a, ne.Uint16(u[32:]))
	life.UID = ne.Uint32(u[4:])
	life.Cookies = make([]uint64, u[2])
	for i := range life.Cookies {
		life.Cookies[i] = ne.Uint64(u[40+8*i:])
	}
	return kind, life, nil
}

// Request is the only message of the relay: a listener was found that is not in the
// life of that generation, so PID 1 should prove the gateway again.
type Request struct{ Generation uint64 }

func (r Request) encode() (b [requestSize]byte) {
	b[0], b[1] = version, kindProve
	binary.NativeEndian.PutUint64(b[8:], r.Generation)
	return b
}

func decodeRequest(b []byte) (Request, error) {
	if len(b) != requestSize || b[0] != version || b[1] != kindProve {
		return Request{}, errMessage
	}
	return Request{Generation: binary.NativeEndian.Uint64(b[8:])}, nil
}
