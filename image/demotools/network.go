// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// holdPort is the agent that takes the gateway's port. It prints what it
// receives, so that a test can look for the token in it.
func holdPort(args []string) error {
	f := flag.NewFlagSet("hold-port", flag.ContinueOnError)
	asGateway := f.Bool("http", false, "answer as the demo gateway would")
	retry := f.Float64("retry", 0, "try for so many seconds")
	if err := f.Parse(args); err != nil {
		return err
	}
	network := "tcp4"
	if strings.HasPrefix(f.Arg(0), "[") {
		network = "tcp6"
	}
	l, err := net.Listen(network, f.Arg(0))
	for end := time.Now().Add(time.Duration(*retry * float64(time.Second))); err != nil && time.Now().Before(end); {
		l, err = net.Listen(network, f.Arg(0))
	}
	if err != nil {
		return err
	}
	fmt.Printf("holding %s, pid %d\n", l.Addr(), os.Getpid())
	var out sync.Mutex
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go answerConn(conn, *asGateway, &out)
	}
}

// answerConn prints each chunk and, if asked to, answers it as a gateway that
// takes any token.
func answerConn(conn net.Conn, asGateway bool, out *sync.Mutex) {
	defer conn.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			out.Lock()
			fmt.Printf("received %q\n", buf[:n])
			out.Unlock()
		}
		if err != nil {
			return
		}
		if !asGateway {
			continue
		}
		status, body := "200 OK", `{"ok":true,"ready":true}`
		request := string(buf[:n])
		if strings.Contains(request, " /api/") && !strings.Contains(strings.ToLower(request), "authorization:") {
			status, body = "401 Unauthorized", `{}`
		}
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
}

func connect(args []string) error {
	conn, err := net.DialTimeout("tcp", args[0], 5*time.Second)
	if err != nil {
		return err
	}
	fmt.Println("connected", conn.RemoteAddr())
	return conn.Close()
}

// httpRequest prints the status, an empty line and the body. The token comes by
// stdin: an argument would be in /proc/PID/cmdline for all to read.
func httpRequest(args []string) error {
	token, err := io.ReadAll(io.LimitReader(os.Stdin, 4096))
	if err != nil {
		return err
	}
	body := ""
	if len(args) > 2 {
		body = args[2]
	}
	resp, err := ask(args[0], args[1], strings.TrimSpace(string(token)), body)
	if err != nil {
		return err
	}
	fmt.Printf("%d\n\n", resp.StatusCode)
	_, err = io.Copy(os.Stdout, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// ask sends one request; an empty token sends none.
func ask(method, url, token, body string) (*http.Response, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return (&http.Client{Timeout: 10 * time.Second}).Do(req)
}
