// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// evicts makes each launch of the fixture fail with err, and each eviction end so many
// processes. It notes how much each was asked for.
func (d *fixture) evicts(err error, ended int) (asked *[]int) {
	asked = &[]int{}
	d.c.Prepare = func() error { return nil }
	d.kernel.start = func(launch.Child, report) (process, error, error) { return nil, nil, err }
	d.c.Evict = func(n int, spare func(int) bool) (int, error) {
		*asked = append(*asked, n)
		return ended, nil
	}
	d.unit.phase = phaseStarting
	return asked
}

// TestRefusedForkMakesRoom checks that a fork that is refused for lack of pids or memory
// ends processes of the agent, each time more, and that the launch is tried again until
// that cannot help any more.
func TestRefusedForkMakesRoom(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		ended int
		asked []int
	}{
		"of-a-user": {syscall.EAGAIN, 3, nil}, // the cgroup has room, so it is RLIMIT_NPROC
		"pids":      {fmt.Errorf("cannot start: %w", syscall.EAGAIN), 3, []int{16, 64, 256, 1024, 4096, 16384}},
		"memory":    {syscall.ENOMEM, 3, []int{16, 64, 256, 1024, 4096, 16384}},
		"nobody":    {syscall.EAGAIN, 0, []int{16}},
		"no-matter": {syscall.EMFILE, 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t)
			if name == "pids" || name == "nobody" {
				d.noRoom = errors.New("60 of 64 pids are in use")
			}
			asked := d.evicts(c.err, c.ended)
			for range 10 {
				if d.unit.launch(); !d.timers.armed(sweepTimer) {
					break
				}
				d.timers.cancel(sweepTimer)
			}
			if !slices.Equal(*asked, c.asked) {
				t.Errorf("asked for %v, want %v", *asked, c.asked)
			}
			if !slices.Equal(d.unit.events, []event{eventFailed}) {
				t.Errorf("events %v", d.unit.events)
			}
			if lines := strings.Count(d.log.String(), `"event":"evicted","processes":3`); c.ended > 0 && lines != len(c.asked) {
				t.Errorf("%d lines: %s", lines, d.log.String())
			}
		})
	}
}

// TestEvictionIsOptional checks that nothing is ended without Evict.
func TestEvictionIsOptional(t *testing.T) {
	d := newFixture(t)
	d.evicts(syscall.EAGAIN, 3)
	d.c.Evict = nil
	if d.unit.launch(); !slices.Equal(d.unit.events, []event{eventFailed}) {
		t.Errorf("events %v", d.unit.events)
	}
}

// TestLackedRoom checks which ends of a start lacked pids or memory.
func TestLackedRoom(t *testing.T) {
	full := errors.New("64 of 64 pids are in use")
	exec := func(step launch.Step, errno syscall.Errno) *startError {
		return &startError{exited: true, err: fmt.Errorf("cannot execute: %w", &launch.Failure{Step: step, Errno: errno})}
	}
	for name, c := range map[string]struct {
		err    *startError
		served bool
		room   error
		want   bool
	}{
		"died-without-room":    {exec(launch.StepDied, 0), false, full, true},
		"died":                 {exec(launch.StepDied, 0), false, nil, false},
		"no-memory":            {exec(launch.StepExec, syscall.ENOMEM), false, nil, true},
		"not-executable":       {exec(launch.StepExec, syscall.EACCES), false, full, false},
		"own-limit-on-pids":    {exec(launch.StepExec, syscall.EAGAIN), false, full, false},
		"fork-was-refused":     {&startError{err: syscall.EAGAIN}, false, full, false},
		"ended-without-room":   {nil, false, full, true},
		"ended":                {nil, false, nil, false},
		"ended-after-it-serve": {nil, true, full, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t)
			if c.served {
				d.running()
			}
			d.unit.start.err, d.noRoom = c.err, c.room
			if got := d.unit.lackedRoom(); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
