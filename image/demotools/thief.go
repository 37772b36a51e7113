// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// thief is the agent that waits for the gateway's port to be free for an
// instant: it takes it, plays the gateway, lets go, and waits for the next time.
// Every byte that it receives goes into FILE, so that a test can look for the
// token in it; a line "take N" stands before each time.
func thief(args []string) error {
	f := flag.NewFlagSet("thief", flag.ContinueOnError)
	hold := f.Float64("hold", 0.1, "seconds to hold the port each time; 0: for good")
	eager := f.Bool("eager", false, "answer before anything was asked")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 2 {
		return errors.New("give an address and a file")
	}
	out, err := os.OpenFile(f.Arg(1), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	network := "tcp4"
	if strings.HasPrefix(f.Arg(0), "[") {
		network = "tcp6"
	}
	for n := 1; ; n++ {
		l, err := net.Listen(network, f.Arg(0))
		for ; err != nil; l, err = net.Listen(network, f.Arg(0)) {
			time.Sleep(100 * time.Microsecond)
		}
		fmt.Fprintf(out, "take %d\n", n)
		if *hold > 0 {
			time.AfterFunc(time.Duration(*hold*float64(time.Second)), func() { l.Close() })
		}
		robAll(l, *eager, out)
	}
}

// robAll serves whoever connects until the listener is closed, and then drops
// them all.
func robAll(l net.Listener, eager bool, out *os.File) {
	var conns []net.Conn
	var wg sync.WaitGroup
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		conns = append(conns, conn)
		wg.Go(func() { rob(conn, eager, out) })
	}
	for _, conn := range conns {
		conn.Close()
	}
	wg.Wait()
}

// rob answers each request as a gateway that takes any token. One write to an
// append-only file for each chunk: a token is never torn in the record.
func rob(conn net.Conn, eager bool, out *os.File) {
	answer := func(status, body string) {
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
	if eager {
		answer("401 Unauthorized", "{}")
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			_, _ = out.Write(buf[:n])
		}
		if err != nil {
			return
		}
		request := strings.ToLower(string(buf[:n]))
		if strings.Contains(request, " /api/") && !strings.Contains(request, "authorization:") {
			answer("401 Unauthorized", "{}")
		} else {
			answer("200 OK", `{"ok":true,"ready":true}`)
		}
	}
}
