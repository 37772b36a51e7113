// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// States of a TCP socket, as in the kernel's tcp_states.h.
const (
	Established = 1
	finWait1    = 4
	finWait2    = 5
	timeWait    = 6
	Closed      = 7
	CloseWait   = 8
	lastAck     = 9
	Listening   = 10
	closing     = 11
	boundState  = 13 // only in a request (Linux 6.8); the answer says Closed
)

// Sizes of struct nlmsghdr, inet_diag_req_v2 and inet_diag_msg (linux/netlink.h,
// linux/inet_diag.h). The kernel uses host byte order, except for ports.
const (
	nlHeader  = 16
	diagReq   = 56
	diagMsg   = 72
	maxSocket = 1024 // more are not collected (ErrMany)
)

// nlmsgDumpIntr marks a dump that changed while it was made.
const nlmsgDumpIntr = 0x10

// errDump means that the request must be sent again. errDiag means that the data is
// no answer of sock_diag.
var (
	errDump = errors.New("the dump was interrupted")
	errDiag = errors.New("cannot parse netlink message")
)

// Socket is what the kernel says about a socket (inet_diag_msg, or a line of
// /proc/net/tcp).
type Socket struct {
	Local, Remote netip.AddrPort
	State         uint8
	UID           uint32 // of the creator or acceptor; often 0 if no process has it
	Inode         uint64 // 0: no process has it
	Cookie        uint64 // its number, never used again; 0 if /proc/net/tcp was read
	V6Only        bool   // an IPv6 listener without IPv4; not known if /proc/net/tcp was read
}

// parseDiag parses one datagram and appends the sockets that want accepts to out. done
// means that the answer is complete. With the error ErrMany, out has the first ones.
func parseDiag(data []byte, want func(Socket) bool, out []Socket) (_ []Socket, done bool, err error) {
	ne := binary.NativeEndian
	for len(data) >= nlHeader {
		size := int(ne.Uint32(data))
		if size < nlHeader || size > len(data) {
			return out, false, fmt.Errorf("%w: length %d", errDiag, size)
		}
		kind, flags, body := ne.Uint16(data[4:]), ne.Uint16(data[6:]), data[nlHeader:size]
		if flags&nlmsgDumpIntr != 0 {
			return out, false, errDump
		}
		switch kind {
		case unix.NLMSG_DONE:
			return out, true, dumpEnd(body)
		case unix.NLMSG_ERROR:
			if err := dumpEnd(body); err != nil {
				return out, true, err
			}
			return out, false, fmt.Errorf("%w: an acknowledgement", errDiag) // we asked for none
		case unix.SOCK_DIAG_BY_FAMILY:
			s, err := parseSocket(body)
			if err != nil {
				return out, false, err
			}
			if want(s) {
				if len(out) >= maxSocket {
					return out, false, ErrMany
				}
				out = append(out, s)
			}
			done = flags&unix.NLM_F_MULTI == 0
		case unix.NLMSG_NOOP:
		default: // NLMSG_OVERRUN, or another type that may stand for sockets that are not shown
			return out, false, fmt.Errorf("%w: type %d", errDiag, kind)
		}
		data = data[min((size+3)&^3, len(data)):]
	}
	if len(data) != 0 {
		return out, false, fmt.Errorf("%w: %d bytes left over", errDiag, len(data))
	}
	return out, done, nil
}

// dumpEnd returns the errno that NLMSG_ERROR and NLMSG_DONE carry. It matters in
// NLMSG_DONE, too. A kernel with inet_diag but without tcp_diag starts the dump and
// ends it with ENOENT and no socket, which must not be taken for a port without
// listeners.
func dumpEnd(body []byte) error {
	if len(body) < 4 {
		return fmt.Errorf("%w: no errno", errDiag)
	}
	switch code := int32(binary.NativeEndian.Uint32(body)); {
	case code < 0 && code >= -4095: // MAX_ERRNO
		return unix.Errno(-code)
	case code != 0:
		return fmt.Errorf("%w: errno %d", errDiag, code)
	}
	return nil
}

func parseSocket(b []byte) (Socket, error) {
	if len(b) < diagMsg {
		return Socket{}, fmt.Errorf("%w: socket of %d bytes", errDiag, len(b))
	}
	addr := func(at int) (netip.Addr, bool) {
		switch b[0] {
		case unix.AF_INET:
			return netip.AddrFrom4([4]byte(b[at : at+4])), true
		case unix.AF_INET6:
			return netip.AddrFrom16([16]byte(b[at : at+16])), true
		}
		return netip.Addr{}, false
	}
	local, ok := addr(8)
	remote, _ := addr(24)
	if !ok {
		return Socket{}, fmt.Errorf("%w: socket of family %d", errDiag, b[0])
	}
	v6Only, err := parseV6Only(b[diagMsg:])
	if err != nil {
		return Socket{}, err
	}
	return Socket{
		Local:  netip.AddrPortFrom(local, binary.BigEndian.Uint16(b[4:])),
		Remote: netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[6:])),
		State:  b[1],
		UID:    binary.NativeEndian.Uint32(b[64:]),
		Inode:  uint64(binary.NativeEndian.Uint32(b[68:])),
		// Two numbers, the low one first, in every byte order (sock_diag_save_cookie).
		Cookie: uint64(binary.NativeEndian.Uint32(b[44:])) | uint64(binary.NativeEndian.Uint32(b[48:]))<<32,
		V6Only: v6Only,
	}, nil
}

// parseV6Only looks for INET_DIAG_SKV6ONLY among the attributes of a socket. The kernel
// gives it for each IPv6 listener.
func parseV6Only(b []byte) (bool, error) {
	const header, v6Only = 4, 11
	for len(b) > 0 {
		size := 0
		if len(b) >= header {
			size = int(binary.NativeEndian.Uint16(b))
		}
		if size < header || size > len(b) {
			return false, fmt.Errorf("%w: attribute of %d bytes", errDiag, size)
		}
		if binary.NativeEndian.Uint16(b[2:]) == v6Only && size > header {
			return b[header] != 0, nil
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false, nil
}

// ask sends one request and collects the sockets of the answer that want accepts.
func ask(request []byte, want func(Socket) bool) ([]Socket, error) {
	for try := 0; ; try++ {
		var found []Socket
		err := sys.SockDiag(request, func(datagram []byte) (done bool, err error) {
			found, done, err = parseDiag(datagram, want, found)
			return done, err
		})
		if err == errDump && try < 3 {
			continue
		}
		return found, err
	}
}
