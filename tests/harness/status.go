package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"gatewayinit/internal/status"
)

// View is gatewayctl status --json (docs/status.md).
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

// VerifiedCheck is one thing that gatewayctl held against the kernel.
type VerifiedCheck struct {
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// pollEvery is between two looks at a condition: a call of the engine takes
// about as long.
const pollEvery = 50 * time.Millisecond

// Eventually waits until f has no error. When the deadline passes, the last
// error fails the test.
func Eventually(t testing.TB, deadline time.Duration, what string, f func() error) {
	t.Helper()
	end := time.Now().Add(deadline)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s: %v", deadline, what, err)
		}
		<-tick.C
	}
}

// Never checks for the whole time that f has no error.
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

// TryView is one call of gatewayctl status --json.
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

// View is TryView that must succeed and hold a record.
func (c *Container) View() View {
	c.t.Helper()
	v, err := c.TryView()
	if err == nil && v.Record == nil {
		err = fmt.Errorf("no record: %s: %s", v.Reason, v.Detail)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// Status is PID 1's record.
func (c *Container) Status() status.Record {
	c.t.Helper()
	return *c.View().Record
}

// WaitStatus waits until a record satisfies f, and returns it.
func (c *Container) WaitStatus(deadline time.Duration, what string, f func(View) error) status.Record {
	c.t.Helper()
	var record status.Record
	Eventually(c.t, deadline, what, func() error {
		v, err := c.TryView()
		if err == nil && v.Record == nil {
			err = fmt.Errorf("no record: %s: %s", v.Reason, v.Detail)
		}
		if err == nil {
			record = *v.Record
			err = f(v)
		}
		return err
	})
	return record
}

// WaitState waits for a state of the record.
func (c *Container) WaitState(state string, deadline time.Duration) status.Record {
	c.t.Helper()
	return c.WaitStatus(deadline, "state "+state, func(v View) error {
		if v.Record.State != state {
			return fmt.Errorf("state is %s (%s: %s)", v.Record.State, v.Reason, v.Detail)
		}
		return nil
	})
}

// WaitServing waits until gatewayctl status says that the gateway serves.
func (c *Container) WaitServing(deadline time.Duration) status.Record {
	c.t.Helper()
	return c.WaitStatus(deadline, "a gateway that serves", func(v View) error {
		if !v.Serving {
			return fmt.Errorf("%s: %s", v.Reason, v.Detail)
		}
		return nil
	})
}

// WaitNewGateway waits until another gateway than old serves.
func (c *Container) WaitNewGateway(old status.Process, deadline time.Duration) status.Record {
	c.t.Helper()
	return c.WaitStatus(deadline, "another gateway that serves", func(v View) error {
		switch {
		case !v.Serving:
			return fmt.Errorf("%s: %s", v.Reason, v.Detail)
		case v.Record.Gateway.Process == old:
			return errors.New("it is the same gateway")
		}
		return nil
	})
}
