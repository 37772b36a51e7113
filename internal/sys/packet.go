// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ErrCut means that a packet was larger than the reader expects, or brought another
// number of descriptors.
var ErrCut = errors.New("a packet was cut")

// PacketPair returns the two ends of a SOCK_SEQPACKET socketpair(2). ours is for Go's
// poller. theirs is for another process, and its calls block. Each end holds few
// packets that are not read yet. The caller owns both.
func PacketPair() (ours, theirs *os.File, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	const sendBuffer = 8 << 10
	err = errors.Join(unix.SetNonblock(p[0], true),
		unix.SetsockoptInt(p[0], unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer),
		unix.SetsockoptInt(p[1], unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer))
	if err != nil {
		unix.Close(p[0])
		unix.Close(p[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(p[0]), "socketpair"), os.NewFile(uintptr(p[1]), "socketpair"), nil
}

// IsPacketSocket reports whether fd is a UNIX socket of type SOCK_SEQPACKET.
func IsPacketSocket(fd int) bool {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	kind, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && err2 == nil && domain == unix.AF_UNIX && kind == unix.SOCK_SEQPACKET
}

// SendPacket sends one packet, with the descriptor pass if that is not -1. It never
// waits. If the other end does not read, the error is EAGAIN.
func SendPacket(fd int, packet []byte, pass int) error {
	var rights []byte
	if pass >= 0 {
		rights = unix.UnixRights(pass)
	}
	return retry("sendmsg", func() error {
		return unix.Sendmsg(fd, packet, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
}

// SendPacketOn is SendPacket for a file of Go's poller.
func SendPacketOn(f *os.File, packet []byte, pass int) error {
	return control(f, "sendmsg", func(fd int) error { return SendPacket(fd, packet, pass) })
}

// ReceivePacket receives one packet into buf and returns its length, which is 0 after
// the other end was closed. It never waits. If there is no packet, the error is EAGAIN.
// passed is a descriptor that came with it, or -1, and the caller owns it. Without
// wantPassed the kernel closes what comes. If the packet or what was passed is too
// large, the error is ErrCut, and nothing is left open.
func ReceivePacket(fd int, buf []byte, wantPassed bool) (n, passed int, err error) {
	var room [24]byte
	oob := room[:0]
	if wantPassed {
		oob = room[:unix.CmsgLen(4)] // CmsgSpace has room for a second one
	}
	var got, flags int
	if err := retry("recvmsg", func() (err error) {
		n, got, flags, _, err = unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC|unix.MSG_TRUNC)
		return err
	}); err != nil {
		return 0, -1, err
	}
	passed, err = passedIn(oob[:got])
	if err == nil && (n > len(buf) || flags&unix.MSG_CTRUNC != 0) {
		err = ErrCut
	}
	if err != nil && passed >= 0 {
		unix.Close(passed)
		passed = -1
	}
	return n, passed, err
}

// passedIn returns the only descriptor of a control message, or -1.
func passedIn(oob []byte) (int, error) {
	if len(oob) == 0 {
		return -1, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return -1, ErrCut
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return -1, ErrCut
	}
	return fds[0], nil
}

// AwaitPacket receives the next packet on a file of Go's poller. It waits in the
// poller. After the other end was closed it returns 0, and after the file was closed
// the error is os.ErrClosed. Descriptors that come with the packet are an error.
func AwaitPacket(f *os.File, buf []byte) (n int, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	if err := c.Read(func(fd uintptr) bool {
		n, _, failed = ReceivePacket(int(fd), buf, false)
		return !isErrno(failed, unix.EAGAIN)
	}); err != nil {
		return 0, os.ErrClosed // without deadlines the only error of the poller
	}
	return n, failed
}

// IsReadable reports whether there is something to read from fd now, or an end. A pidfd
// is readable from the end of its process on.
func IsReadable(fd int) bool { return isReady(fd, unix.POLLIN) }

// MapShared maps size bytes of the file for reading and writing, shared with its other
// users (mmap(2)). The mapping stays until the process ends.
func MapShared(fd, size int) ([]byte, error) {
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return b, os.NewSyscallError("mmap", err)
}

// RegularSize returns the size of the regular file fd, or -1 if it is none.
func RegularSize(fd int) (int64, error) {
	var st unix.Stat_t
	if err := retry("fstat", func() error { return unix.Fstat(fd, &st) }); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, nil
	}
	return st.Size, nil
}
