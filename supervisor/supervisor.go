// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"runtime"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/status"
)

// Supervisor is the loop over six owners. It gives each input to the owners that it
// concerns. An owner answers with a value and never calls another one. Everything
// below belongs to the goroutine of Run.
type Supervisor struct {
	*common

	unit     gatewayUnit
	prover   prover
	requests requests
	sidecars sidecars
	relay    relay
	shutdown shutdown

	base        status.Record // the fields that no owner fills
	lastRecord  []byte        // the last record, without its time
	orphansOnly bool          // the last input was the end of orphans, which changes no record
	recording   bool          // the record is being read; true in the next round: that panicked
	trimMemory  bool          // work is over for now, so its memory can be given back
}

// New returns a supervisor that has started nothing.
func New(c Config) *Supervisor {
	e := newCommon(c)
	s := &Supervisor{
		common: e, base: c.Base, unit: newGatewayUnit(e), prover: newProver(e),
		requests: requests{log: e.log}, sidecars: newSidecars(e), relay: newRelay(e), shutdown: shutdown{common: e},
	}
	c.Sweeper.Track(func(pid int) bool { return e.children[pid] != nil }, func() procfs.ID { return s.unit.last })
	return s
}

// Run starts everything and returns the container's exit code when all of it
// has ended. An error means that the very first start showed an image that can
// never work.
func (s *Supervisor) Run() (code int, err error) {
	if s.c.Gateway != nil {
		s.unit.post(eventStart)
	}
	if s.c.Gateway == nil || s.c.Settings.CommandStart == "immediate" {
		s.beginCommand()
	}
	if s.c.Relay != nil {
		s.timers.arm(relayTimer, 0) // clients wait, so the gateway comes first
	}
	s.reap() // children that ended before we subscribed to SIGCHLD
	s.orphansOnly = false
	for !s.round() {
	}
	return s.shutdown.code, s.unit.start.fatal
}

// panicPause limits how fast a panic that repeats at once fills the log.
const panicPause = 100 * time.Millisecond

// round runs one iteration of the loop and reports whether the supervisor is done.
// A panic is a bug. It is logged, the current event is lost, and the loop goes on,
// because PID 1 must not end the container for it.
func (s *Supervisor) round() (over bool) {
	defer func() {
		if r := recover(); r != nil {
			s.fault("PID 1 goes on after a panic", fmt.Errorf("panic: %v", r))
			time.Sleep(panicPause)
		}
	}()
	s.handleEvents()
	if !s.orphansOnly {
		s.publish()
		s.deliver()
	}
	if s.shutdown.over {
		return true
	}
	if s.trimMemory {
		s.trimMemory = false
		runtime.Gosched() // the writer of the log comes first, because it uses much of the program
		s.kernel.trim()
	}
	s.nextInput()
	return false
}
