// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// The demo gateway as its clients see it.
const (
	demoTokenEnv = "OPENCLAW_GATEWAY_TOKEN"
	demoWhoami   = "http://127.0.0.1:18789/api/whoami"
)

// tuiDemo stands for a terminal UI: it connects with the token of its
// environment and talks to a person.
func tuiDemo(args []string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	fmt.Println("args:", strings.Join(args, " "))
	if err := id(nil); err != nil {
		return err
	}
	if err := ttyInfo(nil); err != nil {
		return err
	}
	fmt.Println("gateway:", whoami())
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	fmt.Println("type a line, or exit")
	for {
		select {
		case line, ok := <-lines:
			if !ok || line == "exit" {
				fmt.Println("bye")
				return nil
			}
			fmt.Printf("you said %q\n", line)
		case sig := <-signals:
			fmt.Println("got", sig)
			switch sig {
			case syscall.SIGWINCH:
				if err := ttyInfo(nil); err != nil {
					return err
				}
			case syscall.SIGTERM, syscall.SIGHUP:
				return exitCode(128 + int(sig.(syscall.Signal)))
			}
		}
	}
}

// whoami says whether the token of the environment opens the gateway.
func whoami() string {
	token := os.Getenv(demoTokenEnv)
	resp, err := ask("GET", demoWhoami, token, "")
	switch {
	case err != nil:
		return "does not answer"
	case resp.Body.Close() != nil, resp.StatusCode != http.StatusOK:
		return fmt.Sprintf("refuses the token (%d)", resp.StatusCode)
	}
	return "takes the token"
}

func revokeDemo([]string) error {
	said := whoami()
	fmt.Println("revoke-demo: the gateway", said)
	if said != "takes the token" {
		return exitCode(1)
	}
	return nil
}
