// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// gateway is the server and its state.
type gateway struct {
	token    string
	env      []string
	received snapshot
	stderr   io.Writer
	start    time.Time
	ended    chan int    // exit code
	names    chan string // for the main thread: see setName

	mu        sync.Mutex
	m         misbehaviour
	counters  map[string]int
	listeners []net.Listener
	server    *http.Server
	held      []net.Conn // accept "hang": never answered, never closed
	draining  bool
}

// run serves until it is told to end; the result is the exit code.
func (g *gateway) run(m misbehaviour, detached bool) int {
	g.m, g.counters = m, map[string]int{}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if m.ExhaustOnHup {
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		go func() {
			<-hup
			exhaust()
		}()
	}
	if code, ended := g.pause(time.Duration(m.ListenAfter), signals); ended {
		return code
	}
	listeners, err := listen(m.Listen, detached)
	if err != nil {
		return fail(g.stderr, err)
	}
	g.listeners = listeners
	g.server = &http.Server{Handler: g.handler(), ErrorLog: log.New(io.Discard, "", 0)}
	g.server.SetKeepAlivesEnabled(!m.NoKeepAlive)
	for _, l := range listeners {
		go g.serve(l)
	}
	fmt.Fprintf(g.stderr, "demogateway: listening on %s, pid %d\n", m.Listen, os.Getpid())
	if detached {
		m.clearDeeds()
	}
	if err := g.do(m); err != nil {
		return fail(g.stderr, err)
	}
	for {
		select {
		case code := <-g.ended:
			return code
		case name := <-g.names:
			if err := setName(name); err != nil {
				return fail(g.stderr, err)
			}
		case <-signals:
			if code, ended := g.terminate(); ended {
				return code
			}
		}
	}
}

// pause waits for d, or for a signal that ends the program.
func (g *gateway) pause(d time.Duration, signals <-chan os.Signal) (code int, ended bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return 0, false
		case <-signals:
			if code, ended := g.terminate(); ended {
				return code, true
			}
		}
	}
}

func (g *gateway) terminate() (code int, ended bool) {
	m := g.behaviour()
	if m.IgnoreTerm {
		return 0, false
	}
	if m.Drain > 0 {
		g.drain(m)
		return 0, false
	}
	return m.ExitCode, true
}

// codeAlone is the exit code of a drain that missed a helper.
const codeAlone = 9

// drain ends later, as a gateway does that lets a run come to its end.
func (g *gateway) drain(m misbehaviour) {
	g.mu.Lock()
	again := g.draining
	g.draining = true
	g.mu.Unlock()
	if again {
		fmt.Fprintln(g.stderr, "demogateway: draining, ignoring another signal")
		return
	}
	fmt.Fprintf(g.stderr, "demogateway: draining for %v\n", time.Duration(m.Drain))
	time.AfterFunc(time.Duration(m.Drain), func() {
		if m.DrainNeeds != "" {
			conn, err := net.DialTimeout("tcp", m.DrainNeeds, time.Second)
			if err != nil {
				fmt.Fprintf(g.stderr, "demogateway: cannot reach the helper: %v\n", err)
				g.end(codeAlone)
				return
			}
			conn.Close()
		}
		g.end(m.ExitCode)
	})
}

func (g *gateway) end(code int) {
	select {
	case g.ended <- code:
	default:
	}
}

func (g *gateway) behaviour() misbehaviour {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.m
}

// listen opens every address, or takes over what a former self opened.
func listen(addrs string, detached bool) ([]net.Listener, error) {
	var all []net.Listener
	for i, addr := range strings.Split(addrs, ",") {
		var l net.Listener
		var err error
		if detached {
			l, err = net.FileListener(os.NewFile(uintptr(firstPassed+i), addr))
		} else {
			network := "tcp4"
			if strings.HasPrefix(addr, "[") {
				network = "tcp6"
			}
			l, err = net.Listen(network, addr)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot listen: %w", err)
		}
		all = append(all, l)
	}
	return all, nil
}

func (g *gateway) serve(l net.Listener) {
	err := g.server.Serve(&rudeListener{l, g})
	if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		g.end(fail(g.stderr, fmt.Errorf("cannot serve: %w", err)))
	}
}

// rudeListener hangs or drops connections when it is told to.
type rudeListener struct {
	net.Listener
	g *gateway
}

func (l *rudeListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch l.g.behaviour().Accept {
		case acceptHang:
			l.g.mu.Lock()
			l.g.held = append(l.g.held, conn)
			l.g.mu.Unlock()
		case acceptDrop:
			conn.Close()
		default:
			return conn, nil
		}
	}
}
