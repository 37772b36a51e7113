// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// This file makes room for a gateway that has no pids, no memory or no port to start with,
// so that the agent cannot keep it from starting.

// evictMost bounds what one makeRoom ends, in threads. It is beyond any usual pids limit.
const evictMost = 16 << 10

// makeRoom ends the newest processes of the agent, and reports whether there were any.
// It ends four times as many as the time before, until a start succeeds, because a
// process that forks without end takes the room again. It spares our own children: the
// container ends with the command.
func (u *gatewayUnit) makeRoom() bool {
	if u.c.Evict == nil {
		return false
	}
	u.start.evict = min(max(policy.RestartPids, 4*u.start.evict), evictMost)
	ended, err := u.c.Evict(u.start.evict, func(pid int) bool { return u.children[pid] != nil })
	if ended > 0 || err != nil {
		u.log.Warn().Str("event", evEvicted).Int("processes", ended).Err(err).
			Msg("a start of the gateway has no pids or no memory: the newest processes of the sandbox's user were ended")
	}
	return ended > 0
}

const (
	freePause  = time.Second            // between two looks for the processes that have the port
	everyPause = 10 * time.Second       // between two ends of all processes of the agent for it
	freeBound  = 100 * time.Millisecond // for ended processes to give the port back
	shownPIDs  = 8                      // in a log line
)

// freePort ends the processes of the agent that have the gateway's port, and reports whether
// there were any. It spares our own children. If a socket's process cannot be found, it ends
// every process of the agent, but not again and again, because the socket may be one of
// another container with the same network and the same uid.
func (u *gatewayUnit) freePort() bool {
	now := time.Now()
	if u.c.FreePort == nil || now.Before(u.start.freeFrom) {
		return false
	}
	u.start.freeFrom = now.Add(freePause)
	ended, every, err := u.c.FreePort(u.port, func(pid int) bool { return u.children[pid] != nil }, !now.Before(u.start.everyFrom))
	if every {
		u.start.everyFrom = now.Add(everyPause)
	}
	if len(ended) == 0 && err == nil {
		return false
	}
	why := "processes of the sandbox's user had the gateway's port, and were ended"
	if every {
		why = "a process of the sandbox's user had the gateway's port and could not be found: all but the command and the sidecars were ended"
	}
	u.log.Warn().Str("event", evEvicted).Int("processes", len(ended)).Uint16("port", u.port).Ints("pids", ended[:min(len(ended), shownPIDs)]).Err(err).Msg(why)
	return len(ended) > 0
}

// freeBeside is foreignBeside after it has ended the processes of the agent that listen
// beside the gateway. It waits a moment until they have given the port back.
func (s *Supervisor) freeBeside() (beside string, err error) {
	beside, err = s.foreignBeside()
	if beside == "" || err != nil || !s.unit.freePort() {
		return beside, err
	}
	for by := time.Now().Add(freeBound); beside != "" && err == nil && time.Now().Before(by); time.Sleep(time.Millisecond) {
		beside, err = s.foreignBeside()
	}
	return beside, err
}

// makeWay ends processes of the agent if the proof of a gateway that starts has met their
// want of room or their listener.
func (u *gatewayUnit) makeWay(r *result) {
	if r.noRoom {
		u.makeRoom()
	}
	if len(r.signals.Foreign) > 0 {
		u.freePort()
	}
}

// mayLaunchAgain ends processes of the agent if a fork was refused or the port is taken, and
// reports whether the launch is tried again when they are gone. Otherwise it has failed for
// now.
func (u *gatewayUnit) mayLaunchAgain(e *startError) bool {
	if e.reason == reason.ListenerForeign {
		return u.freePort()
	}
	return u.isNoRoom(e.err) && u.makeRoom() && u.start.evict < evictMost
}

// lackedRoom reports whether the start whose end is being handled lacked pids or memory.
// A Go program that is refused a thread ends by itself, so a start that ended counts if
// there is no room for another one.
func (u *gatewayUnit) lackedRoom() bool {
	switch e := u.start.err; {
	case e != nil && !e.exited:
		return false // mayLaunchAgain has seen it
	case e != nil && errors.Is(e.err, syscall.ENOMEM):
		return true
	case e != nil && failedAt(e.err) != launch.StepDied, e == nil && !u.start.proven.IsZero():
		return false
	}
	return u.c.Room() != nil
}

// isNoRoom reports whether a fork was refused for lack of pids or memory (fork(2)). EAGAIN
// also means that a user has too many processes (RLIMIT_NPROC), which no end of the
// agent's processes changes.
func (e *common) isNoRoom(err error) bool {
	return errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EAGAIN) && e.c.Room() != nil
}
