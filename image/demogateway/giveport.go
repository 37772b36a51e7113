// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/http"
	"strings"
	"time"
)

// givePortTime is how long the gateway waits for somebody to take its port, and
// how often it looks.
const (
	givePortTime = time.Second
	givePortLook = time.Millisecond
)

// givePort is the worst moment to lose the port: the gateway closes its
// listener, waits until somebody else has it, and only then gives this answer
// and closes the connection. Whoever asks on has to connect anew, to the other.
// Unless it ends, it takes the port back as soon as it is free.
func (g *gateway) givePort(w http.ResponseWriter, when string, reply func()) {
	m := g.behaviour()
	if m.GivePort != when {
		reply()
		return
	}
	g.mu.Lock()
	listeners := g.listeners
	g.listeners = nil
	g.mu.Unlock()
	var addrs []string
	for _, l := range listeners {
		addrs = append(addrs, l.Addr().String())
		l.Close()
	}
	if len(addrs) > 0 {
		waitForTaker(addrs[0])
	}
	w.Header().Set("Connection", "close")
	reply()
	_ = http.NewResponseController(w).Flush() // the client may be gone: its affair
	if m.GiveAndEnd {
		g.end(m.ExitCode)
		return
	}
	if len(addrs) > 0 {
		go g.takeBack(strings.Join(addrs, ","))
	}
}

func waitForTaker(addr string) {
	for end := time.Now().Add(givePortTime); time.Now().Before(end); time.Sleep(givePortLook) {
		if conn, err := net.DialTimeout("tcp", addr, givePortTime); err == nil {
			conn.Close()
			return
		}
	}
}

// takeBack tries for as long as the process lives.
func (g *gateway) takeBack(addrs string) {
	listeners, err := listen(addrs, false)
	for ; err != nil; listeners, err = listen(addrs, false) {
		time.Sleep(givePortLook)
	}
	g.mu.Lock()
	g.listeners = listeners
	g.mu.Unlock()
	for _, l := range listeners {
		go g.serve(l)
	}
}
