// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// claim makes a worker believe that the listener is the gateway's, as it was an
// instant ago. The worker cannot know how the agent got there.
func claim(s *server, ownerOf func(local, remote netip.AddrPort) (uint32, error)) *worker {
	return &worker{job: job(s.Port()), ownerOf: ownerOf, listeners: func(uint16) ([]sockets.Listener, error) {
		return []sockets.Listener{{Addr: s.Addr, UID: me, Inode: 1}}, nil
	}}
}

// TestForeignPeerNeverGetsTheToken checks that another user gets no token. An earlier
// program sent it if the agent was faster than a restarting gateway.
func TestForeignPeerNeverGetsTheToken(t *testing.T) {
	for name, handle := range map[string]func(*client, int){
		"plays-the-gateway": good,
		"answers-early": func(c *client, _ int) {
			c.Say(answer("200 OK", `{"ready":true}`) + answer("401 Unauthorized", `{}`))
			for c.Request() != "" {
			}
		},
		"says-nothing": func(c *client, _ int) { c.Request(); c.Request() },
		"hangs-up":     func(*client, int) {},
	} {
		for way, ask := range ways {
			t.Run(name+"-"+way, func(t *testing.T) {
				s := serve(t, "tcp4", "127.0.0.1:0", stranger, handle)
				j := claim(s, ask.owner)
				switch got := j.work([]byte(secret)); got {
				case ForeignPeer:
				case Dropped, Unproven:
					if name != "hangs-up" { // it is gone before the check
						t.Errorf("got %v", got)
					}
				default:
					t.Errorf("got %v", got)
				}
				if strings.Contains(s.Heard(), secret) || strings.Contains(s.Heard(), "Authorization") {
					t.Error("the stranger got the token")
				}
			})
		}
	}
	t.Run("seen-as-listener", func(t *testing.T) {
		s := serve(t, "tcp4", "127.0.0.1:0", stranger, good)
		if got, _ := Work(job(s.Port()), []byte(secret)); got != ForeignPeer {
			t.Errorf("got %v", got)
		}
		if n := s.Accepted(); n != 0 {
			t.Errorf("%d connections to a listener that is not the gateway's", n)
		}
	})
}

// TestPortChangesHands checks that a new connection is checked again. The gateway
// closes the first one after the answer without token, and then the agent has the
// port.
func TestPortChangesHands(t *testing.T) {
	testenv.Root(t) // the stranger is another user
	for way, ask := range ways {
		t.Run(way, func(t *testing.T) {
			moved := make(chan *server, 1)
			first := serve(t, "tcp4", "127.0.0.1:0", me, func(c *client, _ int) {
				c.Say(goodAnswer(c.Request()))
				r := c.Request()
				c.S.Listener.Close()
				moved <- serve(c.S.T, "tcp4", c.S.Addr.String(), stranger, good)
				c.Say(strings.Replace(goodAnswer(r), "\r\n", "\r\nConnection: close\r\n", 1))
			})
			w := &worker{job: job(first.Port()), listeners: ask.list, ownerOf: ask.owner}
			if got := w.work([]byte(secret)); got != ForeignPeer {
				t.Errorf("got %v", got)
			}
			var second *server
			select {
			case second = <-moved:
			default:
			}
			if second == nil || second.Accepted() != 1 {
				t.Fatal("the stranger was never asked: this test proves nothing")
			}
			if strings.Contains(first.Heard()+second.Heard(), secret) {
				t.Error("the token was sent")
			}
		})
	}
}

// TestKeepAliveClosedBeforeTheToken checks a server that closes a connection that it
// said it keeps. Before the token, the worker connects and checks again.
func TestKeepAliveClosedBeforeTheToken(t *testing.T) {
	for name, last := range map[string]string{
		"silently":         "",
		"with-a-408":       "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
		"said-so":          "Connection: close",
		"http-1.0":         "HTTP/1.0",
		"reset":            "RST",
		"after-the-header": "wait",
	} {
		for way, ask := range ways {
			t.Run(name+"-"+way, func(t *testing.T) {
				s := serve(t, "tcp4", "127.0.0.1:0", me, func(c *client, n int) {
					if n > 1 {
						good(c, n)
						return
					}
					c.Say(goodAnswer(c.Request()))
					a := goodAnswer(c.Request())
					switch last {
					case "Connection: close":
						a = strings.Replace(a, "\r\n", "\r\nConnection: close\r\n", 1)
					case "HTTP/1.0":
						a = strings.Replace(a, "HTTP/1.1", "HTTP/1.0", 1)
					}
					c.Say(a)
					switch last {
					case "":
					case "RST":
						c.Request()
						c.Conn.(interface{ SetLinger(int) error }).SetLinger(0)
					case "wait":
						c.In.ReadString('\n') // it was accepted and checked, and closes
					default:
						if strings.HasPrefix(last, "HTTP/1.1 408") {
							c.Say(last)
						}
					}
				})
				w := &worker{job: job(s.Port()), listeners: ask.list, ownerOf: ask.owner}
				if got := w.work([]byte(secret)); got != OK {
					t.Errorf("got %v", got)
				}
				if n := s.Accepted(); n != 2 {
					t.Errorf("%d connections, want 2", n)
				}
			})
		}
	}
}

// counted serves as good does, and counts the requests.
func counted(n *atomic.Int32) func(*client, int) {
	return func(c *client, _ int) {
		for r := c.Request(); r != ""; r = c.Request() {
			n.Add(1)
			c.Say(goodAnswer(r))
		}
	}
}

// TestFarewellBetweenRequests checks that a server that says 408 and closes just when
// the next request comes gets that request again on the next connection.
func TestFarewellBetweenRequests(t *testing.T) {
	var answered atomic.Int32
	hangUp, gone := make(chan bool), make(chan bool)
	s := serve(t, "tcp4", "127.0.0.1:0", me, func(c *client, n int) {
		if n > 1 {
			good(c, n)
			return
		}
		for range 2 {
			r := c.Request()
			answered.Add(1)
			c.Say(goodAnswer(r))
		}
		c.In.ReadString('\n')
		<-hangUp
		c.Say("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
		c.Close()
		close(gone)
	})
	var once sync.Once
	w := claim(s, func(local, remote netip.AddrPort) (uint32, error) {
		if answered.Load() == 2 { // the next request has the token
			once.Do(func() { close(hangUp); <-gone })
		}
		return sockets.Owner(local, remote)
	})
	if got := w.work([]byte(secret)); got != OK || s.Accepted() != 2 {
		t.Errorf("got %v on %d connections", got, s.Accepted())
	}
}

// TestOwnerNotToBeHad checks that the owner is looked up for each request, on a kept
// connection too. If it cannot be found out, nothing is proven and no token is sent.
func TestOwnerNotToBeHad(t *testing.T) {
	for way, errno := range map[string]unix.Errno{"no-descriptors": unix.EMFILE, "no-memory": unix.ENOBUFS} {
		t.Run(way, func(t *testing.T) {
			var answered atomic.Int32
			s := serve(t, "tcp4", "127.0.0.1:0", me, counted(&answered))
			w := claim(s, func(local, remote netip.AddrPort) (uint32, error) {
				if answered.Load() < 2 { // ready, and the request without token
					return sockets.Owner(local, remote)
				}
				return 0, fmt.Errorf("%w: cannot look up the owner of a connection: %w", sockets.ErrUnproven, errno)
			})
			if got := w.work([]byte(secret)); got != Unproven || answered.Load() != 2 {
				t.Errorf("got %v after %d answers", got, answered.Load())
			}
			if strings.Contains(s.Heard(), secret) {
				t.Error("the token was sent unchecked")
			}
		})
	}
}

// TestTokenSentOnce checks that each connection gets the token once, after a request
// without it that is otherwise the same.
func TestTokenSentOnce(t *testing.T) {
	s := serve(t, "tcp4", "127.0.0.1:0", me, good)
	if got, _ := Work(job(s.Port()), []byte(secret)); got != OK {
		t.Fatalf("got %v", got)
	}
	heard := s.Heard()
	if n := strings.Count(heard, secret); n != 1 {
		t.Errorf("the token was sent %d times", n)
	}
	_, posts, _ := strings.Cut(heard, "\r\n\r\n")
	a, b, _ := strings.Cut(posts[1:], "POST ")
	if with := strings.Replace(b, "Authorization: Bearer "+secret+"\r\n", "", 1); "P"+a != "POST "+with {
		t.Errorf("the requests differ by more than the token:\n%q\n%q", "P"+a, "POST "+with)
	}
}
