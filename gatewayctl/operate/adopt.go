// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
)

// Adopt ends the unmanaged gateway. The caller requests a start.
func (l *Local) Adopt(ctx context.Context, v View, say func(string)) (old, started procfs.ID, err error) {
	u, err := l.holdUnmanaged(ctx, v, say)
	if err != nil {
		return old, started, err
	}
	defer u.Close()
	if pid, err := stillUnmanaged(l.Look(ctx), u.Snapshot); pid != 0 || err != nil {
		ours := procfs.ID{PID: pid}
		return ours, ours, err
	}
	return u.ID(), started, u.Stop(ctx)
}

// stillUnmanaged returns 0 and nil if k is still unmanaged in the view now, which
// is newer than k. PID 1 may have acted since the first look. pid is our gateway if
// it serves by now.
func stillUnmanaged(now View, k procfs.Snapshot) (pid int, err error) {
	const stage = "looking again"
	switch {
	case now.Serving:
		return now.PID, nil
	case now.owns == nil:
		return 0, &external.Failure{Stage: stage, Reason: reason.Unproven, Err: errors.New(now.Detail)}
	case now.owns(k):
		return 0, &external.Failure{Stage: stage, Reason: reason.NotPermitted, Err: external.ErrOurs}
	}
	return 0, nil
}

// readConfig returns the configuration, or a Failure.
func (h *Host) readConfig() (*config.Config, error) {
	c, err := h.Config()
	if err != nil {
		return nil, &external.Failure{Stage: "reading the configuration", Reason: reason.UnsafeConfig, Err: err}
	}
	return c, nil
}

// holdUnmanaged returns the process that serves on the gateway's port and is not one of v's
// processes.
func (h *Host) holdUnmanaged(ctx context.Context, v View, say func(string)) (*external.Unmanaged, error) {
	c, err := h.readConfig()
	if err != nil {
		return nil, err
	}
	ours := v.owns
	if ours == nil {
		ours = func(procfs.Snapshot) bool { return false }
	}
	return h.FindUnmanaged(ctx, c.Gateway, ours, say)
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

// MayAdopt reports whether an adoption may succeed. Without a record, another controller
// may just have started our gateway. That is found out when it is our turn.
func (v View) MayAdopt() bool {
	return v.Code == ExitNotServing && (v.mayHaveUnmanaged() || v.Record == nil && v.PID != 0)
}
