// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"testing"
	"testing/synctest"
	"time"
)

// leftovers is a sweeper whose processes end when they are told to, or never.
type leftovers struct {
	fakeSweeper
	alive, stubborn    bool
	terminated, killed int
}

func (l *leftovers) Alive() (bool, error) { return l.alive, nil }
func (l *leftovers) Terminate() error {
	l.terminated++
	l.alive = l.alive && l.stubborn
	return nil
}
func (l *leftovers) Sweep() error {
	l.killed++
	l.alive = false
	return nil
}

// TestSweep checks what the processes that a gateway left behind get: nothing if there is
// none, because kill(-1) goes through all processes of the machine; after a stop SIGTERM,
// and SIGKILL only after the grace; before a start SIGKILL at once.
func TestSweep(t *testing.T) {
	for name, c := range map[string]struct {
		l                  leftovers
		phase              phase
		terminated, killed int
		took               time.Duration
	}{
		"none":                {leftovers{}, phaseRestarting, 0, 0, 0},
		"ends":                {leftovers{alive: true}, phaseRestarting, 1, 0, time.Millisecond},
		"stubborn":            {leftovers{alive: true, stubborn: true}, phaseStopping, 1, 1, 7 * time.Second},
		"container-ends":      {leftovers{alive: true, stubborn: true}, phaseShuttingDown, 1, 1, 7*time.Second - sweepPauseMax},
		"before-a-start":      {leftovers{alive: true, stubborn: true}, phaseStarting, 0, 1, 0},
		"none-before-a-start": {leftovers{}, phaseStarting, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFixture(t)
				d.c.Sweeper, d.unit.phase = &c.l, c.phase
				begin := time.Now()
				d.sweep()
				for len(d.unit.events) == 0 {
					time.Sleep(time.Until(d.timers.due[sweepTimer]))
					d.checkSweep()
				}
				if took := time.Since(begin); c.l.terminated != c.terminated || c.l.killed != c.killed || took < c.took || took > c.took+2*time.Millisecond {
					t.Errorf("terminated %d times, killed %d times, in %v", c.l.terminated, c.l.killed, took)
				}
			})
		})
	}
}
