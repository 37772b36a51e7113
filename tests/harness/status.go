// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// View is the output of gatewayctl status --json (docs/status.md).
type View struct {
	Schema   int                      `json:"schema"`
	Serving  bool                     `json:"serving"`
	ExitCode int                      `json:"exit_code"`
	Reason   string                   `json:"reason"`
	Detail   string                   `json:"detail"`
	Next     string                   `json:"next"`
	Verified map[string]VerifiedCheck `json:"verified"`
	Record   *status.Record           `json:"record"`
}

// VerifiedCheck is one fact that gatewayctl checked against the kernel.
type VerifiedCheck struct {
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// pollEvery is the least time between two checks of a condition. The pause grows to
// a tenth of the wait so far, or to twice the time of the last check, up to
// pollLast. Checks take processor time from the awaited processes, so frequent
// checks would slow down a busy machine.
const (
	pollEvery = 50 * time.Millisecond
	pollLast  = time.Second
)

// Eventually waits until f has no error. When the deadline passes, the last error
// fails the test. A deadline of 0 means one check. Any other deadline is at least a
// minute.
func Eventually(t testing.TB, deadline time.Duration, what string, f func() error) {
	t.Helper()
	if deadline != 0 {
		deadline = max(deadline, testenv.Patience)
	}
	begin := time.Now()
	for {
		look := time.Now()
		err := f()
		if err == nil {
			return
		}
		past := time.Since(begin)
		if past > deadline {
			t.Fatalf("waited %v for %s: %v", deadline, what, err)
		}
		<-time.After(min(max(pollEvery, past/10, 2*time.Since(look)), pollLast))
	}
}

// Never checks for the whole window that f has no error.
func Never(t testing.TB, window time.Duration, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for end := time.Now().Add(window); time.Now().Before(end); <-tick.C {
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// TryView returns the result of one gatewayctl status --json.
func (c *Container) TryView() (View, error) {
	c.t.Helper()
	r := c.Ctl("status", "--json")
	var v View
	if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
		return v, fmt.Errorf("gatewayctl status --json: %w: %v", err, r)
	}
	if v.ExitCode != r.Code {
		return v, fmt.Errorf("gatewayctl status says exit code %d and ends with %d", v.ExitCode, r.Code)
	}
	return v, nil
}

// tryRecord is TryView, with an error if there is no record.
func (c *Container) tryRecord() (View, error) {
	c.t.Helper()
	v, err := c.TryView()
	if err == nil && v.Record == nil {
		err = fmt.Errorf("no record: %s: %s", v.Reason, v.Detail)
	}
	return v, err
}

// View is TryView for a call that must succeed and have a record.
func (c *Container) View() View {
	c.t.Helper()
	v, err := c.tryRecord()
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// Status returns PID 1's record.
func (c *Container) Status() status.Record {
	c.t.Helper()
	return *c.View().Record
}

// WaitStatus waits until the view satisfies f, and returns the record.
func (c *Container) WaitStatus(deadline time.Duration, what string, f func(View) error) status.Record {
	c.t.Helper()
	return c.wait(deadline, what, func() error { return nil }, f)
}

// waitPure is WaitStatus for an f without effects. For a second after a look it
// reads PID 1's record without gatewayctl, to skip looks that come too early.
// gatewayctl also checks the kernel, which may differ from the record.
func (c *Container) waitPure(deadline time.Duration, what string, f func(View) error) status.Record {
	c.t.Helper()
	last := time.Now()
	return c.wait(deadline, what, func() error {
		if deadline != 0 && time.Since(last) < time.Second {
			if err := c.tooEarly(f); err != nil {
				return err
			}
		}
		last = time.Now()
		return nil
	}, f)
}

// wait calls gatewayctl once early has no error.
func (c *Container) wait(deadline time.Duration, what string, early func() error, f func(View) error) status.Record {
	c.t.Helper()
	var r status.Record
	Eventually(c.t, deadline, what, func() error {
		if err := early(); err != nil {
			return err
		}
		v, err := c.tryRecord()
		if err == nil {
			r = *v.Record
			err = f(v)
		}
		return err
	})
	return r
}

// tooEarly returns f's error for PID 1's record alone.
func (c *Container) tooEarly(f func(View) error) error {
	data, err := os.ReadFile(c.recordPath())
	if err != nil {
		return err
	}
	r, err := status.Decode(data)
	if err != nil {
		return err
	}
	serving := r.State == status.Running && r.Health.State == status.Serving
	return f(View{Serving: serving, Reason: string(r.Reason), Detail: r.Detail, Record: &r})
}

// recordPath returns the host's path of PID 1's record, "" while there is no PID 1.
func (c *Container) recordPath() string {
	if _, err := c.hostPID(); err != nil {
		return ""
	}
	return c.RuntimePath("status.json")
}

// WaitState waits for a state of the record.
func (c *Container) WaitState(state string, deadline time.Duration) status.Record {
	c.t.Helper()
	return c.waitPure(deadline, "state "+state, func(v View) error {
		if v.Record.State != state {
			return fmt.Errorf("state is %s (%s: %s)", v.Record.State, v.Reason, v.Detail)
		}
		return nil
	})
}

// WaitServing waits until gatewayctl status reports that the gateway serves.
func (c *Container) WaitServing(deadline time.Duration) status.Record {
	c.t.Helper()
	return c.waitPure(deadline, "a gateway that serves", func(v View) error {
		if !v.Serving {
			return fmt.Errorf("%s: %s", v.Reason, v.Detail)
		}
		return nil
	})
}

// WaitNewGateway waits until a gateway other than old serves.
func (c *Container) WaitNewGateway(old status.Process, deadline time.Duration) status.Record {
	c.t.Helper()
	return c.waitPure(deadline, "another gateway that serves", func(v View) error {
		switch {
		case !v.Serving:
			return fmt.Errorf("%s: %s", v.Reason, v.Detail)
		case v.Record.Gateway.Process == old:
			return errors.New("it is the same gateway")
		}
		return nil
	})
}
