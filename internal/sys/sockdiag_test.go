// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"encoding/binary"
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Offsets and sizes of the two headers of a request for all TCP listeners
// (sock_diag(7)): struct nlmsghdr, struct inet_diag_req_v2.
const (
	headerLen  = 16
	requestLen = 56
	byFamily   = 20 // SOCK_DIAG_BY_FAMILY
	listening  = 1 << 10
)

func dump(family byte) []byte {
	b := make([]byte, headerLen+requestLen)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], byFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[headerLen], b[headerLen+1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[headerLen+4:], listening)
	return b
}

// TestSockDiag checks that the dump of a network namespace has every listener, in as
// many datagrams as it takes.
func TestSockDiag(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNET) {
		return
	}
	const listeners = 300
	want := map[uint16]bool{}
	for range listeners {
		l, err := net.Listen("tcp4", "0.0.0.0:0")
		testenv.Must(t, err)
		defer l.Close()
		want[uint16(l.Addr().(*net.TCPAddr).Port)] = true
	}
	datagrams := 0
	testenv.Must(t, SockDiag(dump(unix.AF_INET), func(d []byte) (bool, error) {
		datagrams++
		for len(d) >= headerLen {
			n := binary.NativeEndian.Uint32(d)
			if binary.NativeEndian.Uint16(d[4:]) == unix.NLMSG_DONE {
				return true, nil
			}
			// struct inet_diag_msg: family, state, timer, retrans, then the source port
			delete(want, binary.BigEndian.Uint16(d[headerLen+4:]))
			d = d[(n+3)&^3:]
		}
		return false, nil
	}))
	if len(want) != 0 || datagrams < 2 {
		t.Errorf("%d of %d listeners are missing from %d datagrams", len(want), listeners, datagrams)
	}
	if err := SockDiag(dump(unix.AF_INET), func([]byte) (bool, error) { return false, errors.ErrUnsupported }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the reader's error: %v", err)
	}
	// A request for more after the end fails, and does not wait.
	if err := SockDiag(dump(unix.AF_INET), func([]byte) (bool, error) { return false, nil }); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("past the end: %v", err)
	}
	testenv.Refuse(t, unix.EPERM, unix.SYS_SENDTO)
	if err := SockDiag(dump(unix.AF_INET), nil); !errors.Is(err, unix.EPERM) {
		t.Errorf("refused: %v", err)
	}
}
