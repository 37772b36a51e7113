// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
)

// me is the gateway's uid in these tests, stranger somebody else's.
var me = uint32(os.Geteuid())

const stranger = 54321

// bound is a deadline that no passing run comes near.
const bound = 20 * time.Second

// secret stands for a token.
const secret = "feedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedface"

// as runs f on a thread whose file system uid is uid. The kernel notes that uid
// as the owner of each socket the thread makes or accepts, so this is a server
// of another user, without a process of its own. The thread is never unlocked:
// it ends with f. Raw, because it must change one thread only, which is also
// what works under the race detector.
func as(t *testing.T, uid uint32, f func()) (ended <-chan struct{}) {
	t.Helper()
	done, failed := make(chan struct{}), make(chan syscall.Errno, 1)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if uid != me {
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

// server is what stands for a gateway.
type server struct {
	t     *testing.T
	l     net.Listener
	addr  netip.AddrPort
	mu    sync.Mutex
	conns []net.Conn
	heard bytes.Buffer // every byte that any client sent
	ended <-chan struct{}
}

// serve listens as uid at host ("127.0.0.1:0", "[::]:0", ...) and runs handle for
// each connection, one after the other, the number of it in n. A nil handle
// never accepts.
func serve(t *testing.T, network, host string, uid uint32, handle func(c *client, n int)) *server {
	t.Helper()
	s := &server{t: t}
	up := make(chan error, 1)
	s.ended = as(t, uid, func() {
		var err error
		// The socket is made on this very thread; so is every accepted one.
		s.l, err = (&net.ListenConfig{}).Listen(context.Background(), network, host)
		if err == nil {
			s.addr = netip.MustParseAddrPort(s.l.Addr().String())
		}
		up <- err
		if err != nil || handle == nil {
			return
		}
		for n := 1; ; n++ {
			c, err := s.l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			c.SetDeadline(time.Now().Add(bound))
			k := &client{Conn: c, s: s}
			k.r = bufio.NewReader(k)
			handle(k, n)
			c.Close()
		}
	})
	if err := <-up; err != nil {
		t.Skipf("cannot listen at %s: %v", host, err)
	}
	t.Cleanup(s.stop)
	return s
}

func (s *server) port() uint16 { return s.addr.Port() }

// stop closes everything and waits for the handlers.
func (s *server) stop() {
	s.l.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	<-s.ended
}

// bytes is all that was heard so far.
func (s *server) bytes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.String()
}

// accepted is how many connections there were.
func (s *server) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// client is the server's end of one connection; what it reads is recorded.
type client struct {
	net.Conn
	s *server
	r *bufio.Reader
}

func (c *client) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.s.mu.Lock()
	c.s.heard.Write(b[:n])
	c.s.mu.Unlock()
	return n, err
}

// request reads one request; "" when the client has hung up.
func (c *client) request() string {
	var text strings.Builder
	length := 0
	for {
		line, err := c.r.ReadString('\n')
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
		b, err := c.r.ReadByte()
		if err != nil {
			return ""
		}
		text.WriteByte(b)
	}
	return text.String()
}

func (c *client) write(text string) { c.Conn.Write([]byte(text)) }

// answer is a whole answer that keeps the connection.
func answer(status, body string) string {
	return "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\nContent-Length: " +
		itoa(len(body)) + "\r\n\r\n" + body
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// good serves like a gateway: ready, and with the one right token.
func good(c *client, _ int) {
	for r := c.request(); r != ""; r = c.request() {
		c.write(goodAnswer(r))
	}
}

func goodAnswer(request string) string {
	switch {
	case strings.HasPrefix(request, "GET /readyz "):
		return answer("200 OK", `{"ready":true}`)
	case strings.Contains(request, "\r\nAuthorization: Bearer "+secret+"\r\n"):
		return answer("404 Not Found", `{}`)
	}
	return answer("401 Unauthorized", `{}`)
}

// job is a proof of the server at port.
func job(port uint16) Job {
	return Job{
		Mode: Prove, Port: port, UID: me, Deadline: bound,
		Check: config.Probe{Path: "/readyz", Status: []int{200}, JSON: []config.Expect{{Key: "ready", Value: "true"}}},
		Auth: &config.AuthCheck{Method: "POST", Path: "/tools/invoke", Body: `{"tool":"nosuch"}`,
			WithToken: []int{404}, WithoutToken: []int{401}},
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
