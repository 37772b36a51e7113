// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// TestThrough checks that the answer of the supervisor's user is not believed. No
// false success is reported, and a refusal is passed on.
func TestThrough(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	ctx := testenv.Within(t, 30*time.Second)
	c, cmd := pair(t, sleeps)
	answer := func(err error) func(context.Context, control.Request) error {
		return func(context.Context, control.Request) error { return err }
	}
	c.Request = answer(nil)
	stop, start := control.Request{Action: control.Stop}, control.Request{Action: control.Start}
	if r, err := c.Do(ctx, stop); r.OldPID != cmd.Process.Pid || err == nil || !strings.Contains(err.Error(), "says that it has stopped") {
		t.Errorf("a stop that was none: %+v, %v", r, err)
	}
	for _, q := range []control.Request{start, {Action: control.Restart, Drain: 1}} {
		short, cancel := context.WithTimeout(ctx, time.Second) // for the look before the wait, on a busy machine
		r, err := c.Do(short, q)
		cancel()
		if r.OldPID != cmd.Process.Pid || r.NewPID != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s without a gateway that serves: %+v, %v", q.Action, r, err)
		}
	}
	refused := errors.New("refused")
	f := (*Failure)(nil)
	c.Request = answer(refused)
	if _, err := c.Do(ctx, start); !errors.Is(err, refused) || !errors.As(err, &f) || f.Stage != "asking the supervisor" {
		t.Errorf("a refusal: %v", err)
	}
	c.Request = func(context.Context, control.Request) error { endProcess(cmd); return nil }
	if r, err := c.Do(ctx, stop); r.OldPID != cmd.Process.Pid || r.NewPID != 0 || r.Outcome != control.Stopped || err != nil {
		t.Errorf("a stop: %+v, %v", r, err)
	}
	c.Request = answer(nil)
	if r, err := c.Do(ctx, stop); r.OldPID != 0 || err != nil {
		t.Errorf("nothing to stop: %+v, %v", r, err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if r, err := c.Do(short, control.Request{Action: control.Recover}); r.OldPID != 0 || r.NewPID != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a start that was none: %+v, %v", r, err)
	}
}

// TestRotated checks that a rotation counts only if the new gateway was started
// with another token. Without an old token to compare with, nothing is claimed.
func TestRotated(t *testing.T) {
	for name, tokens := range map[string][2]string{"same": {"a", "a"}, "none": {"a", ""}, "never": {"", ""}} {
		if err := (&Controller{token: tokens[1]}).rotated(tokens[0]); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c := &Controller{token: "b"}
	if err := c.rotated("a"); err != nil || !c.result.Renewed || len(c.result.Notes) != 0 {
		t.Errorf("%v, %t, %q", err, c.result.Renewed, c.result.Notes)
	}
	if err := c.rotated(""); err != nil || c.result.Renewed || len(c.result.Notes) != 1 {
		t.Errorf("nothing to compare with: %v, %t, %q", err, c.result.Renewed, c.result.Notes)
	}
}

// TestDrainTooLate checks that a drain that other commands have left no time for is
// not an error in the arguments.
func TestDrainTooLate(t *testing.T) {
	c := &Controller{stages: stages{say: quiet}, Request: func(context.Context, control.Request) error { t.Error("asked"); return nil }}
	err := c.ask(testenv.Within(t, time.Minute), control.Request{Action: control.Restart, Drain: 60})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the drain may take 1m0s") {
		t.Errorf("%v", err)
	}
}
