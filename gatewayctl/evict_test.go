// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/sweep"
)

// evictFixture is a fixture in which processes of uid 1000 have the gateway's port.
type evictFixture struct {
	*fixture
	use   sweep.PortUse // until a process was killed
	after sweep.PortUse
	ended []int // what was killed
	all   bool
}

func newEvictFixture(t *testing.T, pids ...int) *evictFixture {
	w := &evictFixture{fixture: newFixture(t)}
	w.use.Sockets = len(pids)
	for _, pid := range pids {
		w.use.Holders = append(w.use.Holders, procfs.Stat{PID: pid})
	}
	w.local.Agent = func() (sweep.Account, error) { return sweep.Account{UID: 1000, GID: 1000}, nil }
	w.local.PortUse = func(context.Context, sweep.Account, uint16) (sweep.PortUse, error) {
		if len(w.ended) > 0 {
			return w.after, nil
		}
		return w.use, nil
	}
	w.local.Kill = func(all []procfs.Stat, spare func(int) bool) ([]int, error) {
		for _, st := range all {
			if !spare(st.PID) {
				w.ended = append(w.ended, st.PID)
			}
		}
		return w.ended, nil
	}
	w.local.KillAll = func(uid uint32, spare func(int) bool) ([]int, error) {
		w.all = true
		for _, pid := range []int{20, 41, 42} {
			if uid == 1000 && !spare(pid) {
				w.ended = append(w.ended, pid)
			}
		}
		return w.ended, nil
	}
	w.local.UIDs = func(pid int) (procfs.Status, error) { return procfs.Status{PPID: 1}, nil }
	w.up()
	return w
}

// TestEvict checks which processes end, and what the operator reads. The command has pid 20.
func TestEvict(t *testing.T) {
	many := make([]int, 10)
	for i := range many {
		many[i] = 50 + i
	}
	hidden := sweep.PortUse{Sockets: 1, Hidden: true}
	for name, c := range map[string]struct {
		pids     []int
		args     []string
		change   func(w *evictFixture)
		ended    []int
		code     int
		out, err string
	}{
		"none":       {nil, nil, nil, nil, exitOK, "nothing to end: uid 1000 has no socket with port 18789\n", ""},
		"one":        {[]int{41}, nil, nil, []int{41}, exitOK, "ended pid 41 of uid 1000\n", "hint: then: gatewayctl restart --rotate-token"},
		"ten":        {many, nil, nil, many, exitOK, "pid 57, 2 more of uid 1000\n", "hint: then: "},
		"no-gateway": {[]int{41}, nil, func(w *evictFixture) { w.record.State = status.Backoff }, []int{41}, exitOK, "ended pid 41 of uid 1000\n", "hint: then: gatewayctl recover"},
		"command":    {[]int{20}, nil, nil, nil, exitNotServing, "", "listener-foreign: pid 20 has port 18789, and is the container's command\ngatewayctl: hint: the container ends with its command"},
		"command-and-another": {[]int{20, 41}, nil, func(w *evictFixture) { w.after.Holders = []procfs.Stat{{PID: 20}} }, []int{41}, exitNotServing, "",
			"note: ended pid 41 of uid 1000\ngatewayctl: listener-foreign: pid 20 has port 18789, and is the container's command\n"},
		"sidecar": {[]int{21}, nil, func(w *evictFixture) { w.record.Sidecars = []status.Child{{Name: "tools", State: "running", PID: 21}} }, nil, exitNotServing, "",
			"pid 21 has port 18789, and is sidecar tools\n"},
		"command-has-ended": {[]int{20}, nil, func(w *evictFixture) {
			w.local.UIDs = func(int) (procfs.Status, error) { return procfs.Status{PPID: 41}, nil }
		}, []int{20}, exitOK, "ended pid 20", "hint"},
		"hidden":             {nil, nil, func(w *evictFixture) { w.use = hidden }, nil, exitNotServing, "", "hides its sockets, or another container with this network has it\ngatewayctl: hint: gatewayctl evict --all ends every process"},
		"hidden-all":         {nil, []string{"--all"}, func(w *evictFixture) { w.use = hidden }, []int{41, 42}, exitOK, "ended pid 41, pid 42 of uid 1000\n", "hint"},
		"all-but-it-is-seen": {[]int{41}, []string{"--all"}, nil, []int{41}, exitOK, "ended pid 41 of uid 1000\n", "hint"},
		"another-user": {nil, nil, func(w *evictFixture) {
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) {
				return []sockets.Listener{listener("127.0.0.1:18789", 1001), listener("[::1]:18789", 77)}, nil
			}
		}, nil, exitNotServing, "", "listener-foreign: [::1]:18789 of uid 77\ngatewayctl: hint: end it yourself"},
		"no-look": {nil, nil, func(w *evictFixture) {
			w.local.PortUse = func(context.Context, sweep.Account, uint16) (sweep.PortUse, error) {
				return sweep.PortUse{}, sockets.ErrUnproven
			}
		}, nil, exitFailed, "", "cannot evict: unproven"},
		"no-config": {nil, nil, func(w *evictFixture) {
			w.local.Agent = func() (sweep.Account, error) { return sweep.Account{}, errors.New("no user") }
		}, nil, exitFailed, "", "cannot evict: no user"},
		"no-right": {[]int{41}, nil, func(w *evictFixture) {
			w.local.Kill = func([]procfs.Stat, func(int) bool) ([]int, error) { return nil, errors.New("operation not permitted") }
		}, nil, exitFailed, "", "cannot evict: operation not permitted"},
		"no-separation":   {[]int{41}, nil, func(w *evictFixture) { w.record.Separation = status.SeparationNone }, nil, exitRefused, "", "cannot evict: not-permitted: without root"},
		"without-gateway": {[]int{41}, nil, func(w *evictFixture) { w.record.Gateway.Enabled = false }, nil, exitRefused, "", "without a gateway (--no-gateway)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newEvictFixture(t, c.pids...)
			if c.change != nil {
				c.change(w)
			}
			w.publish()
			w.want(w.run(append([]string{"evict"}, c.args...)...), c.code, c.out, c.err)
			if !slices.Equal(w.ended, c.ended) || w.all != (name == "hidden-all") {
				t.Errorf("ended %v, want %v; all of them: %v", w.ended, c.ended, w.all)
			}
		})
	}
}

// TestEvictedAgain checks that a port that the agent has again is not called free.
func TestEvictedAgain(t *testing.T) {
	w := newEvictFixture(t, 41)
	w.after = sweep.PortUse{Sockets: 1, Holders: []procfs.Stat{{PID: 43}}}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e, err := w.local.Evict(ctx, false)
	if !operate.IsPortTaken(err) || !slices.Equal(e.PIDs, []int{41}) {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestEvictNeedsASupervisor checks that nothing ends where the command is not known.
func TestEvictNeedsASupervisor(t *testing.T) {
	w := newFixture(t)
	w.want(w.run("evict"), exitNoSupervisor, "", "cannot evict: no supervisor's files")
}
