// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// Adopt ends the unmanaged gateway and asks PID 1 to start ours.
func (l *Local) Adopt(ctx context.Context, say func(string)) (Result, error) {
	v := l.Look(ctx)
	if result, err := v.beforeAdoption(); result.NewPID != 0 || err != nil {
		return result, err
	}
	return l.adopt(ctx, v, func() View { return l.Look(ctx) }, say, func(uint64) (Result, error) {
		return l.Do(ctx, control.Request{Action: control.Recover}, say)
	})
}

// Adopt does not wait for its turn if there is nothing to adopt.
func (e External) Adopt(ctx context.Context, say func(string)) (result Result, err error) {
	v := e.Look(ctx)
	if result, err := v.beforeAdoption(); result.NewPID != 0 || err != nil {
		return result, err
	}
	err = e.run(ctx, say, func(c *external.Controller) error {
		done, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		defer done()
		result, err = e.local.adopt(ctx, v, func() View { return lookFrom(ctx, c) }, say, func(since uint64) (Result, error) {
			return c.Start(ctx, since)
		})
		return err
	})
	return result, err
}

// verdictError is a verdict that makes a command impossible.
type verdictError struct{ Verdict }

func (e verdictError) Error() string { return fmt.Sprintf("%s: %s", e.Reason, e.Detail) }

// beforeAdoption returns the gateway if it serves, and an error if an adoption cannot succeed.
// Without a record, another controller may just have started our gateway.
func (v View) beforeAdoption() (Result, error) {
	switch {
	case v.Serving:
		return alreadyRunning(v.PID), nil
	case v.Code != ExitNotServing || !v.mayHaveUnmanaged() && (v.Record != nil || v.PID == 0):
		return Result{}, verdictError{v.Verdict}
	}
	return Result{}, nil
}

func alreadyRunning(pid int) (r Result) {
	r.OldPID, r.NewPID, r.Outcome = pid, pid, control.AlreadyRunning
	return r
}

// adopt ends the unmanaged gateway, which is not one of v's processes, and calls start. An
// older process than since, in clock ticks, is not the one that it starts. adopt looks again
// first, because the supervisor or another controller may have acted since v.
func (h *Host) adopt(ctx context.Context, v View, look func() View, say func(string), start func(since uint64) (Result, error)) (result Result, err error) {
	u, err := h.holdUnmanaged(ctx, v, say)
	if err == nil {
		defer u.Close()
	}
	now := look()
	result, refused := now.beforeAdoption()
	none := errors.Is(err, external.ErrOurs) || errors.Is(err, external.ErrNoUnmanaged)
	switch {
	case now.Serving, now.Record == nil && refused != nil:
		return result, refused
	case none && now.Record == nil && now.PID != 0: // our gateway must not be ended, so say why it does not serve
		return result, verdictError{now.Verdict}
	case err == nil && now.owns(u.Stat):
		err = &external.Failure{Stage: "looking again", Reason: reason.NotPermitted, Err: external.ErrOurs}
	}
	if err != nil {
		return result, err
	}
	since := uint64(0)
	if now.PID == 0 { // otherwise our gateway may serve once the port is free
		since = sys.BootTicks()
	}
	if err := u.Stop(ctx); err != nil {
		return result, err
	}
	result, err = start(since)
	result.OldPID = u.PID
	return result, err
}

// readConfig returns the configuration, or a Failure.
func (h *Host) readConfig() (*config.Config, error) {
	c, err := h.Config()
	if err != nil {
		return nil, &external.Failure{Stage: "reading the configuration", Reason: reason.UnsafeConfig, Err: err}
	}
	return c, nil
}

// errNoPort means that no port tells a gateway that gateway-init did not start.
var errNoPort = errors.New("each start of the gateway has another port (listen.port_env) or a socket of PID 1 (listen.pass_fd), so no process can be on its port: end the process by its pid, then gatewayctl recover")

// holdUnmanaged returns the process that serves on the gateway's port and is not one of v's
// processes.
func (h *Host) holdUnmanaged(ctx context.Context, v View, say func(string)) (*external.Unmanaged, error) {
	c, err := h.readConfig()
	if err != nil {
		return nil, err
	}
	if c.Gateway.RandomPort() || c.Gateway.PassFD {
		return nil, &external.Failure{Stage: "looking for a gateway", Reason: reason.NotPermitted, Err: errNoPort}
	}
	return h.FindUnmanaged(ctx, c.Gateway, v.owns, say)
}

// AddUnmanaged adds to a look whether an unmanaged gateway serves instead of our own.
func (h *Host) AddUnmanaged(ctx context.Context, v View) View {
	if !v.mayHaveUnmanaged() {
		return v
	}
	u, err := h.holdUnmanaged(ctx, v, func(string) {})
	if err != nil {
		return v
	}
	defer u.Close()
	// Keep the reason, because an agent that plays the gateway is
	// listener-foreign too.
	detail := fmt.Sprintf("unsupervised: pid %d of uid %d serves, and gateway-init did not start it", u.PID, u.UIDs[0])
	if v.Code == ExitNoSupervisor {
		v.Detail += "; " + detail
		return v
	}
	v.Detail, v.Hint, v.Unmanaged = detail, "gatewayctl adopt", true
	return v
}

// mayHaveUnmanaged reports whether our gateway is known not to be the one that
// serves. If we cannot identify our own gateway, we call none unmanaged.
func (v View) mayHaveUnmanaged() bool {
	return !v.Serving && (v.Reason == reason.ListenerForeign || v.Reason == reason.NotRunning ||
		v.Code == ExitNoSupervisor || v.Record != nil && v.PID == 0)
}
