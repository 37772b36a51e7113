// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// listen opens a port on loopback. handle gets its first connection.
func listen(t *testing.T, address string, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	testenv.Must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			handle(c)
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// soon returns a deadline that passes, and later one that no test reaches.
func soon() time.Time  { return time.Now().Add(50 * time.Millisecond) }
func later() time.Time { return time.Now().Add(20 * time.Second) }

func dial(t *testing.T, to netip.AddrPort, deadline time.Time) *Conn {
	t.Helper()
	c, err := DialTCP(to, deadline)
	testenv.Must(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestConn(t *testing.T) {
	for name, address := range map[string]string{"v4": "127.0.0.1:0", "v6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			remote := make(chan string, 1)
			to := listen(t, address, func(c net.Conn) {
				remote <- c.RemoteAddr().String()
				data, _ := io.ReadAll(c)
				c.Write(bytes.ToUpper(data))
			})
			c := dial(t, to, later())
			local, err := c.LocalAddr()
			if seen := <-remote; err != nil || local.String() != seen {
				t.Errorf("our end is %s, %v; the server says %s", local, err, seen)
			}
			if inherited(t, c.fd) {
				t.Error("a child would inherit it")
			}
			if ready, err := c.Readable(time.Millisecond); ready || err != nil {
				t.Errorf("readable before an answer: %v %v", ready, err)
			}
			request := bytes.Repeat([]byte("request "), 1<<16) // more than the buffers hold
			testenv.Must(t, c.Write(request))
			testenv.Must(t, unix.Shutdown(c.fd, unix.SHUT_WR))
			var answer []byte
			buf := make([]byte, 1000)
			for {
				n, err := c.Read(buf)
				testenv.Must(t, err)
				if n == 0 {
					break
				}
				answer = append(answer, buf[:n]...)
			}
			if !bytes.Equal(answer, bytes.ToUpper(request)) {
				t.Errorf("got %d bytes back", len(answer))
			}
			if ready, err := c.Readable(time.Second); !ready || err != nil {
				t.Errorf("the end is not readable: %v %v", ready, err)
			}
		})
	}
}

// TestDeadlines checks that a server that accepts and says nothing holds up no call.
func TestDeadlines(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	silent := func(net.Conn) { <-hold }
	c := dial(t, listen(t, "127.0.0.1:0", silent), soon())
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Readable(time.Hour); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("readable: %v", err)
	}
	c = dial(t, listen(t, "127.0.0.1:0", silent), soon())
	if err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	if _, err := DialTCP(netip.MustParseAddrPort("127.0.0.1:1"), time.Now().Add(-time.Second)); err == nil {
		t.Error("connected to nobody after the deadline")
	}
}

// TestDialFull checks a full backlog, which does not answer at all.
func TestDialFull(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	testenv.Must(t, err)
	defer unix.Close(fd)
	testenv.Must(t, errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)))
	name, err := unix.Getsockname(fd)
	testenv.Must(t, err)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port))
	for range 5 {
		c, err := DialTCP(to, soon())
		if err == nil {
			defer c.Close()
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || Refused(err) || Reset(err) || Unreachable(err) {
			t.Errorf("got %v", err)
		}
		return
	}
	t.Error("the queue was never full")
}

// TestDialErrors checks that "no listener", "no such address" and "went away" are
// never taken for each other, because they decide about a restart.
func TestDialErrors(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNET) {
		return
	}
	// In a new network namespace the loopback is down, and nothing is reachable.
	_, err := DialTCP(netip.MustParseAddrPort("127.0.0.1:80"), later())
	if !Unreachable(err) || Refused(err) || Reset(err) {
		t.Errorf("no loopback: %v", err)
	}
	_, err = DialTCP(netip.MustParseAddrPort("[::1]:80"), later())
	if !Unreachable(err) || Refused(err) {
		t.Errorf("no IPv6 loopback: %v", err)
	}
	testenv.Refuse(t, unix.EAFNOSUPPORT, unix.SYS_SOCKET)
	_, err = DialTCP(netip.MustParseAddrPort("[::1]:80"), later())
	if call := (*os.SyscallError)(nil); !Unreachable(err) || !errors.As(err, &call) || call.Syscall != "socket" {
		t.Errorf("no IPv6: %v", err)
	}
	if err := SockDiag(nil, nil); !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("no netlink: %v", err)
	}
}

func TestRefusedAndReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testenv.Must(t, err)
	to := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	if _, err := DialTCP(to, later()); !Refused(err) || Unreachable(err) || Reset(err) {
		t.Errorf("nobody listens: %v", err)
	}
	resetting := listen(t, "127.0.0.1:0", func(c net.Conn) {
		c.Read(make([]byte, 1))
		c.(*net.TCPConn).SetLinger(0) // the close is a reset
	})
	c := dial(t, resetting, later())
	testenv.Must(t, c.Write([]byte("x")))
	if _, err := c.Read(make([]byte, 1)); !Reset(err) || Refused(err) {
		t.Errorf("reset: %v", err)
	}
	testenv.Eventually(t, "a write fails", func() bool {
		err = c.Write([]byte("x")) // and the process does not die of SIGPIPE
		return err != nil
	})
	if !Reset(err) {
		t.Errorf("write after the reset: %v", err)
	}
	closed := &Conn{fd: -1, deadline: later()}
	_, err1 := closed.LocalAddr()
	_, err2 := closed.Read(make([]byte, 1))
	for _, err := range []error{err1, err2, closed.Write([]byte("x"))} {
		if !errors.Is(err, unix.EBADF) {
			t.Errorf("closed: %v", err)
		}
	}
}

// TestLocalAddrUnix checks an address that is none of TCP's.
func TestLocalAddrUnix(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	testenv.Must(t, err)
	defer unix.Close(fds[1])
	c := &Conn{fd: fds[0]}
	defer c.Close()
	if _, err := c.LocalAddr(); !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("got %v", err)
	}
}
