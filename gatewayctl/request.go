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

	"gatewayinit/internal/status"
	"gatewayinit/supervisor/control"
)

// Default deadlines. A restart includes the stop's grace and ready.timeout.
const (
	restartTimeout = 120 * time.Second
	stopTimeout    = 60 * time.Second
	probeTimeout   = 30 * time.Second
)

// ask sends one request, waits for its end and prints it.
func (a *app) ask(r control.Request, timeout time.Duration) int {
	name := string(r.Action)
	if code, ok := a.checkTimeout(name, timeout); !ok {
		return code
	}
	ctx, cancel := interruptible()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	show := a.stages(name)
	reply, err := a.request(ctx, r, show)
	show.done()
	switch {
	case errors.Is(err, control.ErrDeadline):
		code, hint := trouble(err)
		return a.fail(code, fmt.Errorf("cannot %s: %w after %v", name, err, timeout), hint)
	case err != nil:
		code, hint := trouble(err)
		return a.fail(code, fmt.Errorf("cannot %s: %w", name, err), hint)
	case reply.Outcome == control.Failed:
		advice := adviceFor(reply.Reason)
		return a.fail(exitFor(reply.Reason), fmt.Errorf("cannot %s: %s: %s%s", name, reply.Reason, advice.text, pids(reply)), advice.next)
	}
	return a.write(success(r, reply) + "\n")
}

// request waits for a supervisor that is just coming up, then sends.
func (a *app) request(ctx context.Context, r control.Request, show *stages) (control.Reply, error) {
	dir, err := a.awaitRuntime(ctx, show)
	if err != nil {
		return control.Reply{}, &control.UnsentError{Err: err}
	}
	defer dir.Close()
	c := control.NewClient(dir)
	c.Owner, c.Booting = a.owner, a.booting
	if rec, err := status.ReadOwned(dir, a.owner); err == nil && a.process(rec.Init) == nil {
		c.Alive = func() error { return a.process(rec.Init) }
	}
	c.Stage = func(nonce string) string { return a.stageOf(dir, nonce) }
	return c.Do(ctx, r, show.stage)
}

// stageOf is where PID 1 is with our request; another one's stage is not ours.
func (a *app) stageOf(dir *os.File, nonce string) string {
	r, err := status.ReadOwned(dir, a.owner)
	if err != nil || r.Request == nil || r.Request.Nonce == "" || !strings.HasPrefix(nonce, r.Request.Nonce) {
		return ""
	}
	return r.Request.Stage
}

// awaitRuntime opens the runtime directory, and waits for it while PID 1 is one
// that will make it.
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

// success is the result line.
func success(r control.Request, reply control.Reply) string {
	token := ""
	if r.Rotate {
		token = ", with a new token"
	}
	switch {
	case reply.Outcome == control.AlreadyRunning:
		return fmt.Sprintf("already running: pid %d, proven", reply.NewPID)
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

// pids is what a failed reply says about processes.
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

// stages shows progress on a terminal, on a line that is rewritten; elsewhere it
// is silent.
type stages struct {
	w     io.Writer
	verb  string
	shown string
}

func (a *app) stages(verb string) *stages {
	s := &stages{verb: verb}
	if a.errTTY {
		s.w = a.err
	}
	return s
}

func (s *stages) stage(text string) {
	if s.w != nil && text != s.shown {
		s.shown = text
		fmt.Fprintf(s.w, "\r\x1b[K%s: %s ...", s.verb, text)
	}
}

// done removes the line.
func (s *stages) done() {
	if s.w != nil && s.shown != "" {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}
