package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatewayinit/internal/testenv"
	"gatewayinit/supervisor/control"
)

// What the supervisor's user answers is not believed: nothing is claimed that is
// not so, and a refusal is handed on.
func TestThrough(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	ctx := testenv.Within(t, 30*time.Second)
	c, cmd := pair(t, ctx, sleeps)
	yes := func(context.Context) error { return nil }
	if old, _, err := c.Through(ctx, control.Stop, yes); old != cmd.Process.Pid || err == nil || !strings.Contains(err.Error(), "says that it has stopped") {
		t.Errorf("a stop that was none: %d, %v", old, err)
	}
	for _, action := range []control.Action{control.Start, control.Restart, control.Recover} {
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		old, started, err := c.Through(short, action, yes)
		cancel()
		if old != cmd.Process.Pid || started != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s without a gateway that serves: %d, %d, %v", action, old, started, err)
		}
	}
	refused := errors.New("refused")
	f := (*Failure)(nil)
	if _, _, err := c.Through(ctx, control.Start, func(context.Context) error { return refused }); !errors.Is(err, refused) || !errors.As(err, &f) || f.Stage != "asking the supervisor" {
		t.Errorf("a refusal: %v", err)
	}
	old, started, err := c.Through(ctx, control.Stop, func(context.Context) error { ended(cmd); return nil })
	if old != cmd.Process.Pid || started != 0 || err != nil {
		t.Errorf("a stop: %d, %d, %v", old, started, err)
	}
	if old, _, err := c.Through(ctx, control.Stop, yes); old != 0 || err != nil {
		t.Errorf("nothing to stop: %d, %v", old, err)
	}
}
