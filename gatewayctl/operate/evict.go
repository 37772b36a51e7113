// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/supervisor/proof"
	"github.com/gateway-init/gateway-init/supervisor/sweep"
)

// Evicted says which processes of the agent Evict has ended.
type Evicted struct {
	PIDs []int
	UID  uint32 // of the agent
	Port uint16
	Next string // what to type then
}

// evictPause is the time between two looks whether the port is free.
const evictPause = 2 * time.Millisecond

// Evict ends the processes of the agent that have the gateway's port, except the container's
// command and the sidecars. It asks nothing of PID 1. If it cannot find a process that has the
// port and all is set, it ends every other process of the agent. The error is a verdictError
// if the port is not free afterwards.
func (l *Local) Evict(ctx context.Context, all bool) (e Evicted, err error) {
	dir, err := l.OpenRuntime()
	if err != nil {
		return e, err
	}
	defer dir.Close()
	r, err := status.Read(dir, l.Owner)
	if err != nil {
		return e, err
	}
	if err := mayEvict(&r); err != nil {
		return e, err
	}
	agent, err := l.Agent()
	if err != nil {
		return e, err
	}
	e.UID, e.Port, e.Next = agent.UID, r.Gateway.Port, "gatewayctl recover"
	if r.State == status.Running {
		e.Next = "gatewayctl restart --rotate-token"
	}
	use, err := l.PortUse(ctx, agent, e.Port)
	if err != nil {
		return e, err
	}
	spare := l.ownChildren(&r)
	if use.Hidden && all {
		e.PIDs, err = l.KillAll(agent.UID, spare)
	} else {
		e.PIDs, err = l.Kill(use.Holders, spare)
	}
	if err == nil && len(e.PIDs) > 0 {
		use, err = l.awaitFree(ctx, agent, e.Port)
	}
	if err == nil {
		err = l.portVerdict(&r, use, spare)
	}
	return e, err
}

// Evict refuses, because the agent's processes cannot be told from the gateway's.
func (e External) Evict(context.Context, bool) (Evicted, error) {
	return Evicted{}, oneUser()
}

func oneUser() error {
	return verdictError{Verdict{Code: ExitRefused, Reason: reason.NotPermitted,
		Detail: "without root, agent and gateway have one user, and the agent's processes cannot be told from the gateway's",
		Hint:   "end the process that holds the port yourself (status names it if it serves: gatewayctl adopt)"}}
}

// mayEvict returns why there is nothing to do in a container with this record.
func mayEvict(r *status.Record) error {
	switch {
	case r.Separation != status.SeparationUID:
		return oneUser()
	case !r.Gateway.Enabled:
		return verdictError{Verdict{Code: ExitRefused, Reason: reason.NotPermitted,
			Detail: "this container runs without a gateway (--no-gateway)", Hint: "start the container without --no-gateway"}}
	}
	return nil
}

// ownChildren returns a function that reports whether a pid is the command or a sidecar.
func (h *Host) ownChildren(r *status.Record) func(pid int) bool {
	children := slices.Clone(r.Sidecars)
	if r.Command != nil {
		children = append(children, *r.Command)
	}
	return func(pid int) bool {
		if !slices.ContainsFunc(children, func(c status.Child) bool { return c.PID == pid }) {
			return false
		}
		p, err := h.UIDs(pid)
		return err != nil || p.PPID == r.Init.PID // otherwise another process has the pid of one that has ended
	}
}

// awaitFree waits until the agent has no socket with the port, or ctx ends, and returns the
// last look. A process that was killed has its sockets until it has ended.
func (l *Local) awaitFree(ctx context.Context, agent sweep.Account, port uint16) (use sweep.PortUse, err error) {
	for {
		use, err = l.PortUse(ctx, agent, port)
		if err != nil || use.Sockets == 0 {
			return use, err
		}
		select {
		case <-ctx.Done():
			return use, nil
		case <-time.After(evictPause):
		}
	}
}

// portVerdict returns nil if no foreign process has the port, and otherwise which one has it
// and what to do.
func (l *Local) portVerdict(r *status.Record, use sweep.PortUse, spare func(pid int) bool) error {
	port := r.Gateway.Port
	foreign := func(hint, format string, args ...any) error {
		return verdictError{Verdict{Code: ExitNotServing, Reason: reason.ListenerForeign, Detail: fmt.Sprintf(format, args...), Hint: hint}}
	}
	for _, st := range use.Holders {
		if spare(st.PID) {
			return foreign("the container ends with its command, so that is never ended: stop the program in it that has the port, or restart the container",
				"pid %d has port %d, and is %s", st.PID, port, describeChild(r, st.PID))
		}
	}
	switch {
	case use.Hidden:
		return foreign("gatewayctl evict --all ends every process of the agent, except the command and the sidecars",
			"the process of the agent that has port %d hides its sockets, or another container with this network has it", port)
	case use.Sockets > 0:
		return foreign("try again: gatewayctl evict; if a program starts such processes again and again, end that program", "the agent has port %d again", port)
	}
	ls, err := l.Listeners(port)
	if _, others := proof.Judge(ls, r.Gateway.UID); err == nil && len(others) > 0 {
		return foreign("end it yourself: it belongs to root, to the operator, or to another container with this network", "%s", names(others))
	}
	return nil
}

// describeChild names a child of PID 1.
func describeChild(r *status.Record, pid int) string {
	for _, c := range r.Sidecars {
		if c.PID == pid {
			return "sidecar " + c.Name
		}
	}
	return "the container's command"
}

// findAgent returns the account of the agent.
func (h *Host) findAgent() (sweep.Account, error) {
	cfg, err := h.readConfig()
	if err != nil {
		return sweep.Account{}, err
	}
	db, err := users.Load()
	if err != nil {
		return sweep.Account{}, err
	}
	u, err := db.ResolveKey("sandbox.user", cfg.SandboxUser)
	return sweep.Account{UID: u.UID, GID: u.GID}, err
}

// Summary returns the result line.
func (e Evicted) Summary() string {
	if len(e.PIDs) == 0 {
		return fmt.Sprintf("nothing to end: uid %d has no socket with port %d", e.UID, e.Port)
	}
	var pids []string
	for _, pid := range e.PIDs[:min(len(e.PIDs), 8)] {
		pids = append(pids, fmt.Sprintf("pid %d", pid))
	}
	if more := len(e.PIDs) - len(pids); more > 0 {
		pids = append(pids, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("ended %s of uid %d", strings.Join(pids, ", "), e.UID)
}

// IsPortTaken reports whether err says that the port is not free after an Evict.
func IsPortTaken(err error) bool {
	var v verdictError
	return errors.As(err, &v) && v.Reason == reason.ListenerForeign
}
