// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/status"
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
	name := string(r.Action)
	if code, ok := a.checkTimeout(name, timeout); !ok {
		return code
	}
	ctx, cancel := interruptibleContext()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	if a.external {
		return a.command(ctx, r)
	}
	show := a.stages(name)
	reply, detail, err := a.request(ctx, r, show)
	show.done()
	switch {
	case errors.Is(err, control.ErrDeadline):
		code, hint := errorExit(err)
		return a.fail(code, fmt.Errorf("cannot %s: %w after %v", name, err, timeout), hint)
	case err != nil:
		code, hint := errorExit(err)
		return a.fail(code, fmt.Errorf("cannot %s: %w", name, err), hint)
	case reply.Outcome == control.Failed:
		if detail == "" {
			detail = reply.Reason.Text()
		}
		return a.fail(reply.Reason.ExitCode(), fmt.Errorf("cannot %s: %s: %s%s", name, reply.Reason, detail, pids(reply)), reply.Reason.Next())
	}
	return a.write(success(r, reply) + "\n")
}

// request waits for a supervisor that is just starting, then sends r. detail is
// PID 1's explanation of a failure.
func (a *app) request(ctx context.Context, r control.Request, show *stages) (reply control.Reply, detail string, err error) {
	dir, err := a.awaitRuntime(ctx, show)
	if err != nil {
		return reply, "", &control.UnsentError{Err: err}
	}
	defer dir.Close()
	c := control.NewClient(dir)
	c.Owner, c.Booting = a.owner, a.booting
	if rec, err := status.Read(dir, a.owner); err == nil && a.process(rec.Init) == nil {
		c.Alive = func() error { return a.process(rec.Init) }
	}
	drain := time.Duration(r.Drain) * time.Second
	c.Stage = func(nonce string) string { return a.stageOf(dir, nonce, drain) }
	if reply, err = c.Do(ctx, r, show.stage); err == nil && reply.Outcome == control.Failed {
		detail = a.detailOf(dir, reply)
	}
	return reply, detail, err
}

// stageOf returns how far PID 1 is with our request. It returns "" if PID 1
// works on another one. A drain can take minutes, so its stage includes the time
// that has passed.
func (a *app) stageOf(dir *os.File, nonce string, drain time.Duration) string {
	r, err := status.Read(dir, a.owner)
	if err != nil || r.Request == nil || r.Request.Nonce == "" || !strings.HasPrefix(nonce, r.Request.Nonce) {
		return ""
	}
	if until := r.Request.Until; drain > 0 && until != nil {
		return fmt.Sprintf("%s pid %d ends by itself within %s, %s passed",
			draining, r.Gateway.PID, formatSpan(drain), formatSpan(drain-until.Sub(a.now())))
	}
	return r.Request.Stage
}

// detailOf returns PID 1's explanation of the failure that it has just answered,
// or "" if its record is about something else. PID 1 publishes the record before it
// answers.
func (a *app) detailOf(dir *os.File, reply control.Reply) string {
	r, err := status.Read(dir, a.owner)
	if err != nil || r.Reason != reply.Reason {
		return ""
	}
	return r.Detail
}

// awaitRuntime opens the runtime directory, and waits for it while PID 1 is a
// process that will make it.
func (a *app) awaitRuntime(ctx context.Context, show *stages) (*os.File, error) {
	tick := time.NewTicker(watchEvery / 10)
	defer tick.Stop()
	for {
		dir, err := a.openRuntime()
		switch {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case !a.booting():
			return nil, fmt.Errorf("%w: %w", control.ErrNoSupervisor, err)
		}
		show.stage("waiting for the supervisor")
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, context.Canceled
			}
			return nil, fmt.Errorf("%w (%w)", control.ErrDeadline, err)
		case <-tick.C:
		}
	}
}

// success returns the result line.
func success(r control.Request, reply control.Reply) string {
	token := ""
	if r.Rotate {
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
	case reply.OldPID == 0:
		return fmt.Sprintf("started: pid %d, proven%s", reply.NewPID, token)
	}
	return fmt.Sprintf("restarted: pid %d → %d, proven%s", reply.OldPID, reply.NewPID, token)
}

// pids returns the pids of a failed reply, for its message.
func pids(r control.Reply) string {
	switch {
	case r.OldPID == 0 && r.NewPID == 0:
		return ""
	case r.OldPID == r.NewPID || r.NewPID == 0:
		return fmt.Sprintf(" (pid %d)", r.OldPID)
	case r.OldPID == 0:
		return fmt.Sprintf(" (pid %d)", r.NewPID)
	}
	return fmt.Sprintf(" (pid %d → %d)", r.OldPID, r.NewPID)
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

// draining is the prefix of a drain's stage; drainEvery is the time between two
// lines of it.
const (
	draining   = "draining:"
	drainEvery = 10 * time.Second
)

func (a *app) stages(verb string) *stages {
	return &stages{w: a.err, tty: a.errTTY, now: a.now, verb: verb}
}

func (s *stages) stage(text string) {
	switch {
	case text == s.shown:
	case s.tty:
		s.shown = text
		fmt.Fprintf(s.w, "\r\x1b[K%s: %s ...", s.verb, text)
	case strings.HasPrefix(text, draining) && s.now().Sub(s.said) >= drainEvery:
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
