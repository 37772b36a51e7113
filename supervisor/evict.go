// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// This file makes room for a gateway that has no pids or no memory to start with, so
// that the agent cannot keep it from starting.

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

// mayLaunchAgain ends processes of the agent if a fork was refused, and reports whether
// the launch is tried again when they are gone. Otherwise it has failed for now.
func (u *gatewayUnit) mayLaunchAgain(e *startError) bool {
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
