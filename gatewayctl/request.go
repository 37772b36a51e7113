// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// Default deadlines. A restart includes the stop's grace and ready.timeout.
const (
	restartTimeout = 120 * time.Second
	stopTimeout    = 60 * time.Second
	probeTimeout   = 30 * time.Second
)

// ask sends one request, waits for its result and prints that.
func (a *app) ask(r control.Request, timeout time.Duration) int {
	return a.carryOut(string(r.Action), timeout, func(ctx context.Context, say func(string)) (operate.Result, error) {
		return a.operator.Do(ctx, r, say)
	}, func(result operate.Result) string { return success(r, result) })
}

// carryOut calls an Operator's do with a deadline, waits for its result and prints that.
func (a *app) carryOut(name string, timeout time.Duration, do func(context.Context, func(string)) (operate.Result, error), text func(operate.Result) string) int {
	if code, ok := a.checkTimeout(name, timeout); !ok {
		return code
	}
	ctx, cancel := interruptibleContext()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	show := a.stages(name)
	result, err := do(ctx, show.stage)
	show.done()
	for _, note := range result.Notes {
		fmt.Fprintf(a.err, "gatewayctl: note: %s\n", clean(note))
	}
	if errors.Is(err, control.ErrDeadline) {
		err = fmt.Errorf("%w after %v%s", err, timeout, a.soFar())
	}
	if err != nil {
		return a.failed(fmt.Errorf("cannot %s: %w", name, err))
	}
	return a.write(text(result) + "\n")
}

// soFar says what holds a request up whose time ran out, as status says it.
func (a *app) soFar() string {
	switch v := a.look(); {
	case v.Serving && v.Record != nil && v.Record.Request != nil:
		return ": the old gateway still serves, the stage of the request is " + v.Record.Request.Stage
	case v.Serving, v.Reason == "", v.Code == exitNoSupervisor:
		return ""
	default:
		return fmt.Sprintf(": %s: %s", v.Reason, v.Detail)
	}
}

// success returns the result line.
func success(r control.Request, reply operate.Result) string {
	token := ""
	if reply.Renewed {
		token = ", with a new token"
	}
	switch {
	case reply.Outcome == control.AlreadyRunning:
		return fmt.Sprintf("already running: pid %d, proven", reply.NewPID)
	case reply.Outcome == control.Stopped && reply.OldPID == external.Unknown:
		return "stopped"
	case reply.Outcome == control.Stopped && reply.OldPID == 0:
		return "stopped: there was no gateway to stop"
	case reply.Outcome == control.Stopped:
		return fmt.Sprintf("stopped: pid %d", reply.OldPID)
	case r.Action == control.Probe:
		return fmt.Sprintf("serving: pid %d, proven", reply.NewPID)
	case r.Action == control.Reload:
		return fmt.Sprintf("reloaded: pid %d got the signal, proven", reply.NewPID)
	case reply.OldPID == 0:
		return fmt.Sprintf("started: pid %d, proven%s", reply.NewPID, token)
	}
	return fmt.Sprintf("restarted: pid %d → %d, proven%s", reply.OldPID, reply.NewPID, token)
}

// stages shows progress on a terminal, on a line that is rewritten. Elsewhere it
// is silent except during a drain, because a log without a line for minutes
// looks as if the program hangs.
type stages struct {
	w     io.Writer
	tty   bool
	now   func() time.Time
	verb  string
	shown string
	said  time.Time // when the last line of a drain was written
}

// drainEvery is the time between two lines of a drain.
const drainEvery = 10 * time.Second

func (a *app) stages(verb string) *stages {
	return &stages{w: a.err, tty: a.errTTY, now: a.local.Now, verb: verb}
}

func (s *stages) stage(text string) {
	text = clean(text) // a supervisor without root may be the agent
	switch {
	case text == s.shown:
	case s.tty:
		s.shown = text
		fmt.Fprintf(s.w, "\r\x1b[K%s: %s ...", s.verb, text)
	case strings.HasPrefix(text, operate.Draining) && s.now().Sub(s.said) >= drainEvery:
		s.said = s.now()
		fmt.Fprintf(s.w, "%s: %s\n", s.verb, text)
	}
}

// done clears the progress line.
func (s *stages) done() {
	if s.shown != "" {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}
