// SPDX-License-Identifier: Apache-2.0

// Command demogateway is the gateway of the demo image and of the tests: an
// HTTP server that wants the token of OPENCLAW_GATEWAY_TOKEN, and that can be
// told to misbehave in every way that gateways were seen to.
//
//	GET  /health          200 {"ok":true,"status":"live"}
//	GET  /readyz          200 {"ready":true}, 503 until ready_after has passed
//	POST /tools/invoke    401 without the token, 404 with it
//	GET  /api/whoami      who answers: uid, pid, start time
//	GET  /api/env         names of the environment, as received, in order
//	GET  /api/limits      limits, umask, groups, descriptors, as received
//	GET  /api/counters    how many requests came, by path, with and without token
//	POST /api/misbehave   change the misbehaviour while it runs
//	POST /agent/tool      the file tools, which do what the agent asks: tools.go
//
// Everything under /api wants the token. /agent/tool stands for a turn of the
// model, so it wants none: the agent always gets what it asks for there. The misbehaviour (type misbehaviour
// lists it) is JSON: the file /var/lib/gateway/misbehave.json, then the
// variable DEMO_MISBEHAVE (JSON, or the absolute path of another file).
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	tokenEnv      = "OPENCLAW_GATEWAY_TOKEN"
	misbehaveEnv  = "DEMO_MISBEHAVE"
	misbehaveFile = "/var/lib/gateway/misbehave.json"
	defaultListen = "127.0.0.1:18789"
	roleEnv       = "DEMO_ROLE" // set for our own helpers only
)

func main() {
	runtime.LockOSThread()   // it is the main thread, as setName needs it
	received := lookAtSelf() // before this program opens anything
	os.Exit(run(os.Args, os.Environ(), received, os.Stderr))
}

// run is the program; its result is the exit code.
func run(args, env []string, received snapshot, stderr io.Writer) int {
	if role := lookup(env, roleEnv); role != "" && role != roleDetached {
		return playRole(role)
	}
	m, err := loadMisbehaviour(lookup(env, misbehaveEnv), os.ReadFile)
	if err != nil {
		return fail(stderr, err)
	}
	if m.Neighbours {
		fmt.Fprintf(stderr, "demogateway: neighbours %v\n", neighbours())
	}
	if m.StartExit != nil {
		fmt.Fprintf(stderr, "demogateway: pid %d exits with %d\n", os.Getpid(), *m.StartExit)
		return *m.StartExit
	}
	if m.Listen == "" {
		m.Listen = defaultListen
		if len(args) == 3 && args[1] == "--listen" {
			m.Listen = args[2]
		}
	}
	token := lookup(env, tokenEnv)
	if token == "" && m.TokenMode != tokenNone {
		return fail(stderr, errors.New("cannot start without "+tokenEnv))
	}
	if m.NoteLives {
		if err := noteLife(token); err != nil {
			return fail(stderr, err)
		}
	}
	g := &gateway{token: token, received: received, env: env, stderr: stderr, start: time.Now(), ended: make(chan int, 1), names: make(chan string, 1)}
	return g.run(m, lookup(env, roleEnv) == roleDetached)
}

func fail(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "demogateway: %v\n", err)
	return 1
}

// lookup is the last entry, which is what most programs take.
func lookup(env []string, name string) string {
	value := ""
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// loadMisbehaviour reads the file, then what the variable holds or names.
func loadMisbehaviour(variable string, readFile func(string) ([]byte, error)) (misbehaviour, error) {
	var m misbehaviour
	path := misbehaveFile
	if strings.HasPrefix(variable, "/") {
		path, variable = variable, ""
	}
	data, err := readFile(path)
	switch {
	case err == nil:
		if err := m.merge(data); err != nil {
			return m, fmt.Errorf("cannot use %s: %w", path, err)
		}
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EACCES):
		return m, fmt.Errorf("cannot read misbehaviour: %w", err)
	}
	if variable != "" {
		if err := m.merge([]byte(variable)); err != nil {
			return m, fmt.Errorf("cannot use %s: %w", misbehaveEnv, err)
		}
	}
	return m, nil
}
