// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// message returns one netlink message, padded.
func message(kind, flags uint16, body []byte) []byte {
	b := make([]byte, nlHeader, nlHeader+len(body)+3)
	ne := binary.NativeEndian
	ne.PutUint32(b, uint32(nlHeader+len(body)))
	ne.PutUint16(b[4:], kind)
	ne.PutUint16(b[6:], flags)
	b = append(b, body...)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}

// socketBody returns the inet_diag_msg of s.
func socketBody(s Socket) []byte {
	b := make([]byte, diagMsg)
	b[0], b[1] = unix.AF_INET, s.State
	if s.Local.Addr().Is6() {
		b[0] = unix.AF_INET6
	}
	binary.BigEndian.PutUint16(b[4:], s.Local.Port())
	binary.BigEndian.PutUint16(b[6:], s.Remote.Port())
	copy(b[8:24], s.Local.Addr().AsSlice())
	copy(b[24:40], s.Remote.Addr().AsSlice())
	binary.NativeEndian.PutUint32(b[44:], uint32(s.Cookie))
	binary.NativeEndian.PutUint32(b[48:], uint32(s.Cookie>>32))
	binary.NativeEndian.PutUint32(b[64:], s.UID)
	binary.NativeEndian.PutUint32(b[68:], uint32(s.Inode))
	if s.V6Only {
		b = append(b, 5, 0, 11, 0, 1, 0, 0, 0)
		binary.NativeEndian.PutUint16(b[diagMsg:], 5)
		binary.NativeEndian.PutUint16(b[diagMsg+2:], 11)
	}
	return b
}

func errnoBody(code int32) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(code))
}

var (
	v4Socket = Socket{netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("0.0.0.0:0"), Listening, 9001, 5, 1<<32 + 7, false}
	v6Socket = Socket{netip.MustParseAddrPort("[::1]:80"), netip.MustParseAddrPort("[::1]:81"), Established, 4294967294, 4294967295, 9, true}
)

// otherAttribute is an answer with an attribute of no interest before the one that is.
var otherAttribute = slices.Concat(socketBody(v6Socket)[:diagMsg], []byte{6, 0, 8, 0, 3, 9, 0, 0}, socketBody(v6Socket)[diagMsg:])

func every(Socket) bool { return true }

// TestParseDiag checks that half an answer is never a port without other listeners.
func TestParseDiag(t *testing.T) {
	const multi = unix.NLM_F_MULTI
	one, two := message(unix.SOCK_DIAG_BY_FAMILY, multi, socketBody(v4Socket)), message(unix.SOCK_DIAG_BY_FAMILY, multi, socketBody(v6Socket))
	alone := message(unix.SOCK_DIAG_BY_FAMILY, 0, socketBody(v4Socket))
	end := message(unix.NLMSG_DONE, multi, errnoBody(0))
	for name, c := range map[string]struct {
		data []byte
		want []Socket
		done bool
		err  error
	}{
		"empty":              {nil, nil, false, nil},
		"nobody":             {end, nil, true, nil},
		"two":                {slices.Concat(one, two), []Socket{v4Socket, v6Socket}, false, nil},
		"two-and-end":        {slices.Concat(one, two, end), []Socket{v4Socket, v6Socket}, true, nil},
		"look-up":            {alone, []Socket{v4Socket}, true, nil},
		"noop":               {slices.Concat(message(unix.NLMSG_NOOP, 0, nil), alone), []Socket{v4Socket}, true, nil},
		"not-found":          {message(unix.NLMSG_ERROR, 0, errnoBody(-2)), nil, true, unix.ENOENT},
		"refused":            {message(unix.NLMSG_ERROR, 0, errnoBody(-1)), nil, true, unix.EPERM},
		"end-with-errno":     {message(unix.NLMSG_DONE, multi, errnoBody(-2)), nil, true, unix.ENOENT},
		"end-without-errno":  {message(unix.NLMSG_DONE, multi, nil), nil, true, errDiag},
		"acknowledged":       {message(unix.NLMSG_ERROR, 0, errnoBody(0)), nil, false, errDiag},
		"odd-errno":          {message(unix.NLMSG_ERROR, 0, errnoBody(7)), nil, true, errDiag},
		"least-errno":        {message(unix.NLMSG_ERROR, 0, errnoBody(-1<<31)), nil, true, errDiag},
		"interrupted":        {slices.Concat(one, message(unix.SOCK_DIAG_BY_FAMILY, multi|nlmsgDumpIntr, socketBody(v6Socket))), nil, false, errDump},
		"interrupted-at-end": {message(unix.NLMSG_DONE, multi|nlmsgDumpIntr, errnoBody(0)), nil, false, errDump},
		"lost-messages":      {slices.Concat(one, message(unix.NLMSG_OVERRUN, 0, nil), end), nil, false, errDiag},
		"unknown-kind":       {slices.Concat(one, message(999, multi, nil), end), nil, false, errDiag},
		"short-socket":       {message(unix.SOCK_DIAG_BY_FAMILY, multi, socketBody(v4Socket)[:71]), nil, false, errDiag},
		"unix-socket":        {message(unix.SOCK_DIAG_BY_FAMILY, multi, make([]byte, 72)), nil, false, errDiag},
		"half-a-header":      {one[:nlHeader-1], nil, false, errDiag},
		"half-a-message":     {one[:len(one)-1], nil, false, errDiag},
		"no-length":          {make([]byte, nlHeader), nil, false, errDiag},
		"tail":               {slices.Concat(one, []byte{0}), nil, false, errDiag},
		"with-attributes":    {message(unix.SOCK_DIAG_BY_FAMILY, 0, otherAttribute), []Socket{v6Socket}, true, nil},
		"long-attribute":     {message(unix.SOCK_DIAG_BY_FAMILY, 0, append(socketBody(v4Socket), 9, 0, 11, 0, 1, 0, 0, 0)), nil, false, errDiag},
		"half-an-attribute":  {message(unix.SOCK_DIAG_BY_FAMILY, 0, append(socketBody(v4Socket), 4, 0)), nil, false, errDiag},
		"zero-attribute":     {message(unix.SOCK_DIAG_BY_FAMILY, 0, append(socketBody(v4Socket), 0, 0, 0, 0)), nil, false, errDiag},
	} {
		t.Run(name, func(t *testing.T) {
			got, done, err := parseDiag(c.data, every, nil)
			if c.err != nil {
				if !errors.Is(err, c.err) {
					t.Errorf("got %v, %v; want %v", got, err, c.err)
				}
				return
			}
			if err != nil || done != c.done || !slices.Equal(got, c.want) {
				t.Errorf("got %v, done %v, %v; want %v, done %v", got, done, err, c.want, c.done)
			}
		})
	}
}

// TestParseDiagBound checks that too many listeners prove nothing.
func TestParseDiagBound(t *testing.T) {
	one := message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI, socketBody(v4Socket))
	out := make([]Socket, maxSocket-1)
	out, _, err := parseDiag(one, every, out)
	if testenv.Must(t, err); len(out) != maxSocket {
		t.Fatalf("%d sockets", len(out))
	}
	if again, _, err := parseDiag(one, every, out); !errors.Is(err, ErrMany) || len(again) != maxSocket {
		t.Errorf("one too many: %d sockets, %v", len(again), err)
	}
	if again, _, err := parseDiag(one, func(Socket) bool { return false }, out); err != nil || len(again) != maxSocket {
		t.Errorf("one that is not wanted: %d sockets, %v", len(again), err)
	}
}

// TestPortFilter checks that the kernel filters by the very port. A wider filter
// costs time, and a narrower one hides a foreign listener.
func TestPortFilter(t *testing.T) {
	for range 4 {
		testenv.Serve(t, "tcp4", "127.0.0.1:0", stranger, nil) // on either side of ours
	}
	for range 4 {
		s := testenv.Serve(t, "tcp4", "127.0.0.1:0", me, nil)
		for family, want := range map[uint8]int{unix.AF_INET: 1, unix.AF_INET6: 0} {
			found, err := ask(diagRequest(family, 1<<Listening, netip.AddrPortFrom(netip.Addr{}, s.Port()), netip.AddrPort{}, true), every)
			if err != nil || len(found) != want {
				t.Errorf("family %d: %+v, %v; want %d", family, found, err, want)
			}
		}
	}
}

// TestIsUnavailable checks that only an error of a missing sock_diag leads to /proc.
func TestIsUnavailable(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.ENOENT, unix.EINVAL} {
		if !isUnavailable(errno) {
			t.Errorf("%v is no reason to look into /proc", errno)
		}
	}
	for _, err := range []error{nil, errDump, errDiag, unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EMFILE} {
		if isUnavailable(err) {
			t.Errorf("%v leads to /proc", err)
		}
	}
}

// FuzzNetlinkMessages checks that accepted sockets, written as the kernel writes
// them, are read again as the same. Earlier sockets stay, and a second copy of the
// datagram adds the same ones, so no message changes how another is read.
func FuzzNetlinkMessages(f *testing.F) {
	f.Add(slices.Concat(message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI, socketBody(v4Socket)),
		message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI, socketBody(v6Socket)), message(unix.NLMSG_DONE, 0, errnoBody(0))))
	f.Add(message(unix.SOCK_DIAG_BY_FAMILY, 0, socketBody(v4Socket)))
	f.Add(message(unix.NLMSG_ERROR, 0, errnoBody(-2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := []Socket{v6Socket}
		out, done, err := parseDiag(data, every, before)
		if err != nil {
			return
		}
		if len(out) == 0 || out[0] != v6Socket {
			t.Fatal("what was found before is gone")
		}
		var again []byte
		for _, s := range out[1:] {
			again = append(again, message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI, socketBody(s))...)
		}
		if done {
			again = append(again, message(unix.NLMSG_DONE, 0, errnoBody(0))...)
		}
		if back, end, err := parseDiag(again, every, before); err != nil || end != done || !slices.Equal(back, out) {
			t.Fatalf("%v, done %v came back as %v, %v, %v", out, done, back, end, err)
		}
		if twice, _, err := parseDiag(data, every, slices.Clip(out)); err == nil && !slices.Equal(twice[len(out):], out[1:]) {
			t.Fatalf("second reading: %v after %v", twice, out)
		}
	})
}
