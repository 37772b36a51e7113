// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// diagRequest returns a request for TCP sockets. If dump is set, the kernel filters
// by state and, with a small program, by the local port (0: any), so that the cost does
// not grow with the number of other sockets.
func diagRequest(family uint8, states uint32, local, remote netip.AddrPort, dump bool) []byte {
	b := make([]byte, nlHeader+diagReq)
	putRequest(b, family, states)
	ne := binary.NativeEndian
	if !dump {
		putEnds(b, local, remote, 0)
		return b
	}
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if local.Port() != 0 {
		b = append(b, portFilter(local.Port())...)
	}
	ne.PutUint32(b, uint32(len(b)))
	return b
}

// putRequest writes the headers of a lookup into b, which has room for them.
func putRequest(b []byte, family uint8, states uint32) {
	clear(b)
	ne := binary.NativeEndian
	ne.PutUint32(b, nlHeader+diagReq)
	ne.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST)
	b[nlHeader], b[nlHeader+1] = family, unix.IPPROTO_TCP
	ne.PutUint32(b[nlHeader+4:], states)
}

// putEnds adds the ends of the socket, and the network device (0: any) on which packets
// for it come in. The zero AddrPort is any remote end.
func putEnds(b []byte, local, remote netip.AddrPort, device uint32) {
	id := b[nlHeader+8:]
	putAddr := func(port, addr int, a netip.AddrPort) {
		binary.BigEndian.PutUint16(id[port:], a.Port())
		if a.Addr().Is4() {
			raw := a.Addr().As4()
			copy(id[addr:], raw[:])
		} else if a.Addr().Is6() {
			raw := a.Addr().As16()
			copy(id[addr:], raw[:])
		}
	}
	putAddr(0, 4, local)
	putAddr(2, 20, remote)
	binary.NativeEndian.PutUint32(id[36:], device)
	for i := 40; i < 48; i++ { // INET_DIAG_NOCOOKIE
		id[i] = 0xff
	}
}

// portFilter returns the attribute INET_DIAG_REQ_BYTECODE with "sport >= port and
// sport <= port": two operations of four bytes, each followed by its operand. An
// operation that fails jumps past the end, which means no.
func portFilter(port uint16) []byte {
	const size = 4 + 4*4
	b := make([]byte, size)
	ne := binary.NativeEndian
	ne.PutUint16(b, size)
	ne.PutUint16(b[2:], 1) // INET_DIAG_REQ_BYTECODE
	op := func(at int, code uint8, no uint16) {
		b[at], b[at+1] = code, 8
		ne.PutUint16(b[at+2:], no)
		ne.PutUint16(b[at+6:], port)
	}
	op(4, 2, 16+4) // INET_DIAG_BC_S_GE
	op(12, 3, 8+4) // INET_DIAG_BC_S_LE
	return b
}
