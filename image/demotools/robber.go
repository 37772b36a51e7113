// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of robber.
const (
	robberTries  = 50 * time.Microsecond  // between two tries to take the port
	robberHold   = 300 * time.Millisecond // it holds the port for at most so long
	robberRest   = 3 * time.Second        // it waits so long for a gateway that takes the port
	robberBeside = 3 * time.Second        // between two listeners beside a gateway that has the port
	robberLoot   = 64 << 20               // bytes of its file
)

// heard is a line of a robber's loot, in JSON.
type heard struct {
	At     int64  `json:"at"`   // CLOCK_BOOTTIME, nanoseconds
	What   string `json:"what"` // "take", "http", "frame" or "full"
	Agent  string `json:"agent,omitempty"`
	Secret []byte `json:"bytes,omitempty"`
}

// robber is the agent that takes the gateway's port in the instant in which it
// is free, on every address. It plays a gateway that takes any token, for HTTP
// and for WebSocket, and writes down what it hears. It lets go after a moment
// and waits until a gateway has the port: so the next gateway lives, and can be
// robbed, too. Now and then it listens on [::1] beside a gateway that does not.
type robber struct {
	port string
	mu   sync.Mutex
	out  *os.File
	size int
}

func robberTool(args []string) error {
	out, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	r := &robber{port: args[0], out: out}
	for beside := time.Now(); ; {
		var all []net.Listener
		for _, host := range []string{"127.0.0.1", "0.0.0.0", "::", "::1"} {
			if l, err := r.listen(host); err == nil {
				all = append(all, l)
			}
			if len(all) == 0 && host == "0.0.0.0" && time.Since(beside) < robberBeside {
				break // the gateway has it
			}
		}
		if len(all) == 0 {
			time.Sleep(robberTries)
			continue
		}
		beside = time.Now()
		r.note(heard{What: "take"})
		r.hold(all)
		r.rest()
	}
}

// listen takes one address. With both options it shares the port with every
// socket that lets it.
func (r *robber) listen(host string) (net.Listener, error) {
	network := "tcp4"
	if strings.Contains(host, ":") {
		network = "tcp6"
	}
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		errControl := raw.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		})
		return errors.Join(errControl, err)
	}}
	return c.Listen(context.Background(), network, net.JoinHostPort(host, r.port))
}

// hold serves for a moment and closes everything.
func (r *robber) hold(all []net.Listener) {
	var serving sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	over := false
	for _, l := range all {
		serving.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				if over { // accepted while the others were closed
					conn.Close()
				}
				conns = append(conns, conn)
				mu.Unlock()
				serving.Go(func() { r.rob(conn) })
			}
		})
	}
	time.Sleep(robberHold/10 + rand.N(robberHold))
	for _, l := range all {
		l.Close()
	}
	mu.Lock()
	over = true
	for _, conn := range conns {
		conn.Close()
	}
	mu.Unlock()
	serving.Wait()
}

// rest returns when a gateway listens. It does not bind to find out, because
// that could take the port from the gateway that is about to.
func (r *robber) rest() {
	for end := time.Now().Add(robberRest); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if conn, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", r.port)); err == nil {
			conn.Close()
			return
		}
	}
}

// note is one write to an append-only file.
func (r *robber) note(h heard) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return
	}
	h.At = now.Nano()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size > robberLoot {
		return
	}
	line, err := json.Marshal(h)
	if err != nil {
		return
	}
	if r.size += len(line); r.size > robberLoot {
		line = []byte(`{"what":"full"}`)
	}
	_, _ = r.out.Write(append(line, '\n'))
}
