// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// startError says why a start failed.
type startError struct {
	reason reason.Reason
	err    error
	plain  bool // not a failure, so retried after plainRetry
	exited bool // there was a process, and LastExit describes its exit
}

// sweep ends all remaining processes of a former gateway and waits until they are
// gone. The event Swept follows.
func (s *Supervisor) sweep() {
	s.cancelRun()         // the worker has the gateway's UID
	if s.unit.drain > 0 { // the draining gateway could have needed them until now
		s.unit.drain = 0
		s.stopSidecars()
	}
	if s.c.Gateway != nil && !s.c.Unseparated {
		s.sidecars.expectSweep(s.c.Gateway.UID)
	}
	s.unit.sweep.start, s.unit.sweep.pause = time.Now(), sweepPauseMin
	s.unit.start.err, s.unit.start.executed, s.unit.start.readyTimedOut, s.unit.proven = nil, false, false, time.Time{}
	s.sweepAgain()
}

// sweepAgain kills the remaining processes and checks whether they are gone. It
// kills each time, because a docker exec as the gateway's user may have started
// another process since.
func (s *Supervisor) sweepAgain() {
	if err := s.c.Sweeper.Sweep(); err != nil {
		s.fault("cannot sweep", err)
	}
	alive, err := s.c.Sweeper.Alive()
	if err != nil {
		s.fault("cannot tell whether the gateway's processes are gone", err)
	}
	if !alive && err == nil {
		s.unit.last = procfs.ID{}
		s.post(eventSwept)
		return
	}
	if waited := time.Since(s.unit.sweep.start); waited > sweepPatience && s.unit.trouble.reason != reason.StopTimeout {
		s.startTrouble(reason.StopTimeout, "processes of the gateway's user are still there after SIGKILL")
		s.tell(outcomeFailed, reason.StopTimeout)
	}
	s.timers.arm(sweepTimer, s.unit.sweep.pause)
	s.unit.sweep.pause = min(2*s.unit.sweep.pause, sweepPauseMax)
}

// launch starts the gateway. The port must be free, and the entries of "prepare"
// must be there. A new token is put in force now, because the old gateway is gone
// and the new one is not there yet, so two tokens never work at the same time.
func (s *Supervisor) launch() {
	if foreign := s.portTaken(); foreign != nil {
		s.prover.signals.Foreign = foreign
		s.markTokenExposed("the gateway's port was taken before its start")
		s.startFailed(reason.ListenerForeign, fmt.Errorf("port %d is taken%s: %s listens", s.g.Port, s.listenerDetail(foreign[0].UID), foreign[0].Addr), true)
		return
	}
	if err := s.c.Prepare(); err != nil {
		s.startFailed(reason.PrepareFailed, err, true)
		return
	}
	if err := s.renewToken(); err != nil {
		s.startFailed(reason.TokenFailed, err, true)
		return
	}
	c := &child{up: s.gatewayUp, done: s.gatewayDone}
	if err := s.start(*s.c.Gateway, c); err != nil {
		why := reason.LaunchFailed
		if errors.Is(err, errToken) {
			why = reason.TokenFailed
		}
		s.startFailed(why, err, true)
		return
	}
	s.unit.child, s.unit.last = c, c.id
	s.prover.signals = status.Proof{Child: status.Held, Listener: status.NotAvailable,
		Ready: status.NotAvailable, Auth: status.NotAvailable}
	s.timers.arm(readyTimer, s.g.Ready.Timeout)
	s.timers.arm(neverServedTimer, neverServedFactor*s.g.Ready.Timeout)
	s.log.Info().Str("event", evStarted).Int("pid", c.pid()).Uint64("start_ticks", c.id.Start).Msg("")
}

// portTaken lists the sockets that listen on the gateway's port although no gateway
// is alive. If they cannot be listed, the start goes on, and the proof decides.
func (s *Supervisor) portTaken() []status.Listener {
	ls, err := s.kernel.listeners(s.g.Port)
	if err != nil || len(ls) == 0 {
		return nil
	}
	return listeners(ls)
}

// startFailed ends a start that failed before there was a process.
func (s *Supervisor) startFailed(why reason.Reason, err error, plain bool) {
	s.unit.start.err = &startError{reason: why, err: err, plain: plain}
	s.post(eventFailed)
}

// gatewayUp handles the report that the re-exec child has executed the gateway.
func (s *Supervisor) gatewayUp(c *child) {
	if c != s.unit.child {
		return
	}
	s.unit.start.executed, s.unit.start.lastLogged = true, ""
	s.post(eventLaunched)
}

// notExecuted returns an error that says which step of the gateway's launch failed.
func (s *Supervisor) notExecuted(err error) error {
	spec := s.c.Gateway.Spec
	switch failedAt(err) {
	case launch.StepDir:
		return fmt.Errorf("cannot enter the gateway's working_dir %s as uid %d: %w", spec.Dir, s.c.Gateway.UID, err)
	case launch.StepTokenFailed, launch.StepTokenChanged:
		return fmt.Errorf("cannot hand the gateway its token, its file is missing or changed: %w", err)
	}
	return fmt.Errorf("cannot execute the gateway %s: %w", spec.Argv[0], err)
}

// cannotEverStart ends the container, and returns true, if the very first launch
// shows that the image can never work, because the program is missing or cannot be
// executed.
func (s *Supervisor) cannotEverStart(err error) bool {
	first := !s.unit.start.launchedBefore
	s.unit.start.launchedBefore = true
	if !first || err == nil {
		return false
	}
	for _, errno := range []error{syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC} {
		if errors.Is(err, errno) {
			s.unit.start.fatal = s.notExecuted(err)
			s.unit.child = nil
			s.beginShutdown()
			return true
		}
	}
	return false
}

// listeners converts the first 8 listeners for the status record.
func listeners(ls []sockets.Listener) []status.Listener {
	out := make([]status.Listener, 0, len(ls))
	for _, l := range ls[:min(len(ls), 8)] {
		out = append(out, status.Listener{Addr: l.Addr.String(), UID: l.UID, Inode: l.Inode})
	}
	return out
}
