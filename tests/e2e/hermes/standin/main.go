// SPDX-License-Identifier: Apache-2.0

// Command standin plays Hermes for the tests of its profile, under the names in
// image/profiles/hermes.json. It is the gateway and the dashboard. It has only the
// documented interface of Hermes: the API server's variables, /health and /v1/models, the key of .env that overrides the
// environment, exit code 1 after SIGTERM, and exit code 75 for a planned restart
// (SIGUSR1).
package main

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Exit codes of the gateway.
const (
	exitEnded   = 1  // after SIGTERM, and for every failure
	exitPlanned = 75 // a request to be started again
)

func main() {
	err := errors.New("usage: hermes gateway run | hermes dashboard ARGS")
	switch name, args := filepath.Base(os.Args[0]), os.Args[1:]; {
	case name == "hermes" && len(args) == 2 && args[0] == "gateway" && args[1] == "run":
		err = gateway()
	case name == "hermes" && len(args) == 6 && args[0] == "dashboard":
		err = http.ListenAndServe(net.JoinHostPort(args[2], args[4]), http.NotFoundHandler())
	}
	fmt.Fprintf(os.Stderr, "hermes stand-in: %v\n", err)
	os.Exit(exitEnded)
}

// gateway serves until a signal. It returns only if it cannot serve.
func gateway() error {
	key, err := serverKey()
	if err != nil {
		return err
	}
	if os.Getenv("API_SERVER_ENABLED") != "true" || key == "" {
		return errors.New("cannot start: API_SERVER_ENABLED and API_SERVER_KEY are needed")
	}
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("API_SERVER_HOST"), os.Getenv("API_SERVER_PORT")))
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)
	go func() {
		if <-signals == syscall.SIGUSR1 {
			os.Exit(exitPlanned)
		}
		os.Exit(exitEnded)
	}()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, `{"status": "ok", "platform": "hermes-agent"}`)
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		got, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(got), []byte(key)) != 1 {
			answer(w, http.StatusUnauthorized, `{"error": {"code": "invalid_api_key"}}`)
			return
		}
		answer(w, http.StatusOK, `{"object": "list", "data": [{"id": "hermes-agent"}]}`)
	})
	return http.Serve(l, mux)
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// serverKey returns the key of the environment, unless $HERMES_HOME/.env sets one.
func serverKey() (string, error) {
	key := os.Getenv("API_SERVER_KEY")
	data, err := os.ReadFile(filepath.Join(os.Getenv("HERMES_HOME"), ".env"))
	if errors.Is(err, os.ErrNotExist) {
		return key, nil
	}
	for line := range strings.Lines(string(data)) {
		if own, ok := strings.CutPrefix(strings.TrimSpace(line), "API_SERVER_KEY="); ok {
			key = own
		}
	}
	return key, err
}
