// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runAs runs f on a thread whose file system uid is uid. The kernel notes that uid as
// the owner of each socket the thread makes or accepts, so this is a server of
// another user, without its own process. The thread is never unlocked, so it ends
// with f. The raw call changes one thread only, also under the race detector.
func runAs(t *testing.T, uid uint32, f func()) (ended <-chan struct{}) {
	t.Helper()
	done, failed := make(chan struct{}), make(chan syscall.Errno, 1)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if int(uid) != os.Geteuid() {
			unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
			if now, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0); uint32(now) != uid {
				failed <- unix.EPERM
				return
			}
		}
		failed <- 0
		f()
	}()
	if errno := <-failed; errno != 0 {
		t.Skip("needs root: another user's sockets")
	}
	return done
}

// As runs f with the file system uid uid, which is the owner of each socket that f
// makes, and waits for its end. f must not end the test.
func As(t *testing.T, uid uint32, f func()) {
	t.Helper()
	<-runAs(t, uid, f)
}

// Server stands for a gateway.
type Server struct {
	T        *testing.T
	Listener net.Listener
	Addr     netip.AddrPort

	mu    sync.Mutex
	conns []net.Conn
	heard bytes.Buffer // every byte that any client sent
	ended <-chan struct{}
}

// Serve listens as uid at host ("127.0.0.1:0", "[::]:0", ...) and runs handle for
// each connection, one after the other, with its number n. A nil handle never
// accepts.
func Serve(t *testing.T, network, host string, uid uint32, handle func(c *Client, n int)) *Server {
	t.Helper()
	s := &Server{T: t}
	up := make(chan error, 1)
	s.ended = runAs(t, uid, func() {
		var err error
		// This thread makes the socket, and every accepted one.
		s.Listener, err = (&net.ListenConfig{}).Listen(context.Background(), network, host)
		if err == nil {
			s.Addr = netip.MustParseAddrPort(s.Listener.Addr().String())
		}
		up <- err
		if err != nil || handle == nil {
			return
		}
		for n := 1; ; n++ {
			c, err := s.Listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			c.SetDeadline(time.Now().Add(deadline))
			k := &Client{Conn: c, S: s}
			k.In = bufio.NewReader(k)
			handle(k, n)
			c.Close()
		}
	})
	if err := <-up; err != nil {
		t.Skipf("cannot listen at %s: %v", host, err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Port returns the port of the listener.
func (s *Server) Port() uint16 { return s.Addr.Port() }

// Stop closes everything and waits for the handlers.
func (s *Server) Stop() {
	s.Listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	<-s.ended
}

// Heard returns all bytes that were read so far.
func (s *Server) Heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.String()
}

// Accepted returns how many connections there were.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Client is the server's end of one connection; what it reads is recorded.
type Client struct {
	net.Conn
	S  *Server
	In *bufio.Reader
}

func (c *Client) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.S.mu.Lock()
	c.S.heard.Write(b[:n])
	c.S.mu.Unlock()
	return n, err
}

// Request reads one request. It returns "" when the client has closed.
func (c *Client) Request() string {
	var text strings.Builder
	length := 0
	for {
		line, err := c.In.ReadString('\n')
		text.WriteString(line)
		if err != nil {
			return ""
		}
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			for _, d := range strings.TrimSpace(v) {
				length = 10*length + int(d-'0')
			}
		}
		if line == "\r\n" {
			break
		}
	}
	for range length {
		b, err := c.In.ReadByte()
		if err != nil {
			return ""
		}
		text.WriteByte(b)
	}
	return text.String()
}

// Say writes text.
func (c *Client) Say(text string) { c.Conn.Write([]byte(text)) }

// Listen listens at an IPv4 address.
func Listen(t *testing.T, addr string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
	Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// Shell starts a shell, with the listener as its descriptor 3 or without one, and
// returns its pid. At the end of the test the shell and its children are killed, because
// they would keep the listener.
func Shell(t *testing.T, l *net.TCPListener, script string) int {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	if l != nil {
		f, err := l.File()
		Must(t, err)
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	Must(t, cmd.Start())
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() })
	return cmd.Process.Pid
}
