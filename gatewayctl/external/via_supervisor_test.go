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
	c, cmd := pair(t, ctx, sleeps)
	yes := func(context.Context) error { return nil }
	if old, _, err := c.ViaSupervisor(ctx, control.Stop, false, yes); old != cmd.Process.Pid || err == nil || !strings.Contains(err.Error(), "says that it has stopped") {
		t.Errorf("a stop that was none: %d, %v", old, err)
	}
	for _, action := range []control.Action{control.Start, control.Restart, control.Recover} {
		short, cancel := context.WithTimeout(ctx, time.Second) // for the look before the wait, on a busy machine
		old, started, err := c.ViaSupervisor(short, action, false, yes)
		cancel()
		if old != cmd.Process.Pid || started != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s without a gateway that serves: %d, %d, %v", action, old, started, err)
		}
	}
	refused := errors.New("refused")
	f := (*Failure)(nil)
	if _, _, err := c.ViaSupervisor(ctx, control.Start, false, func(context.Context) error { return refused }); !errors.Is(err, refused) || !errors.As(err, &f) || f.Stage != "asking the supervisor" {
		t.Errorf("a refusal: %v", err)
	}
	old, started, err := c.ViaSupervisor(ctx, control.Stop, false, func(context.Context) error { endProcess(cmd); return nil })
	if old != cmd.Process.Pid || started != 0 || err != nil {
		t.Errorf("a stop: %d, %d, %v", old, started, err)
	}
	if old, _, err := c.ViaSupervisor(ctx, control.Stop, false, yes); old != 0 || err != nil {
		t.Errorf("nothing to stop: %d, %v", old, err)
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
	if err := c.rotated("a"); err != nil || !c.Renewed || len(c.Notes) != 0 {
		t.Errorf("%v, %t, %q", err, c.Renewed, c.Notes)
	}
	if err := c.rotated(""); err != nil || c.Renewed || len(c.Notes) != 1 {
		t.Errorf("nothing to compare with: %v, %t, %q", err, c.Renewed, c.Notes)
	}
}
