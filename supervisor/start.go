// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gateway-init/gateway-init/internal/ports"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// startError says why a start failed.
type startError struct {
	reason  reason.Reason
	err     error
	plain   bool              // not a failure, so retried after plainRetry
	exited  bool              // there was a process, and LastExit describes its exit
	foreign []status.Listener // who has the port
}

// launch starts the gateway, and reports whether there is a process now. Otherwise it
// posts the event failed, or it has made room and the event swept comes once more. The
// port must be free, and the entries of "prepare" must be there. A new token is put in
// force now, because the old gateway is gone and the new one is not there yet, so two
// tokens never work at the same time.
func (u *gatewayUnit) launch() bool {
	e := u.tryLaunch()
	if e != nil && u.mayLaunchAgain(e) {
		u.timers.arm(sweepTimer, sweepPauseMax)
		return false
	}
	if e != nil {
		e.plain = true
		u.failStart(e)
		return false
	}
	u.countStart()
	u.timers.arm(readyTimer, u.g.Ready.Timeout)
	u.timers.arm(neverServedTimer, u.giveUpAfter())
	u.log.Info().Str("event", evStarted).Int("pid", u.child.pid()).Uint64("start_ticks", u.child.id.Start).Msg("")
	return true
}

// giveUpAfter returns the time after which a gateway that was never proven is replaced.
// It doubles with each failure in a row, because a start that does long work, such as a
// migration, would otherwise begin it again and again.
func (u *gatewayUnit) giveUpAfter() time.Duration {
	return u.g.GiveUp << min(u.backoff.streak, longerStarts)
}

func (u *gatewayUnit) tryLaunch() *startError {
	if e := u.choosePort(); e != nil {
		return e
	}
	if err := u.c.Prepare(); err != nil {
		return &startError{reason: reason.PrepareFailed, err: err}
	}
	if err := u.renewToken(); err != nil {
		return &startError{reason: reason.TokenFailed, err: err}
	}
	c := &child{role: roleGateway, life: u.start.lives + 1}
	if err := u.common.start(u.gatewayLaunch(), c); err != nil {
		why := reason.LaunchFailed
		if errors.Is(err, errToken) {
			why = reason.TokenFailed
		}
		return &startError{reason: why, err: err}
	}
	u.child, u.last, u.start.lives = c, c.id, c.life
	return nil
}

// choosePort sets the port of the next gateway. It returns an error if another process has
// the only port that the gateway can have.
func (u *gatewayUnit) choosePort() *startError {
	switch {
	case len(u.c.Held) > 0:
		return nil
	case u.hidesPort():
		port, err := u.c.PickPort()
		if err != nil {
			return &startError{reason: reason.LaunchFailed, err: err}
		}
		u.port = port
		return nil
	}
	if foreign := u.portTaken(); foreign != nil {
		u.expose("the gateway's port was taken before its start")
		err := fmt.Errorf("port %d is taken%s: %s listens", u.port, u.listenerDetail(foreign[0].UID), foreign[0].Addr)
		return &startError{reason: reason.ListenerForeign, err: err, foreign: foreign}
	}
	var taken *ports.TakenError
	if err := u.kernel.probe(u.port); errors.As(err, &taken) {
		return &startError{reason: reason.ListenerForeign, err: err}
	}
	return nil // if it could not be found out, the proof decides
}

// gatewayLaunch returns the launch of the next gateway, with the variable of its port.
func (u *gatewayUnit) gatewayLaunch() launch.Child {
	l := *u.c.Gateway
	if u.g.PortEnv != "" {
		l.Spec.Env = append(slices.Clip(l.Spec.Env), u.g.PortEnv+"="+formatInt(int(u.port)))
	}
	return l
}

// portTaken lists the sockets that listen on the gateway's port although no gateway
// is alive. If they cannot be listed, the start goes on, and the proof decides.
func (u *gatewayUnit) portTaken() []status.Listener {
	ls, err := u.kernel.listeners(u.port)
	if err != nil && !errors.Is(err, sockets.ErrMany) || len(ls) == 0 {
		return nil
	}
	return listeners(ls)
}

// listenerDetail returns a text that names the user of a listener, or "" where users
// are not separated.
func (u *gatewayUnit) listenerDetail(uid uint32) string {
	if u.c.Unseparated {
		return ""
	}
	return " by uid " + formatInt(int(uid))
}

// failStart ends a start that failed.
func (u *gatewayUnit) failStart(e *startError) {
	u.start.err = e
	u.post(eventFailed)
}

// executed handles the report that the re-exec child has executed the gateway, and reports
// whether the container must end. That is so if /proc does not show the very first
// gateway, because no gateway could ever be proven.
func (u *gatewayUnit) executed() (hopeless bool) {
	u.last = u.child.id
	first := !u.start.launchedBefore
	u.start.launchedBefore = true
	if err := u.kernel.verify(u.child.id); first && u.child.alive() && errors.Is(err, procfs.ErrHidden) {
		u.start.fatal = fmt.Errorf("cannot use /proc: the gateway could never be proven: %w: the engine must mount procfs without hidepid, or with hidepid=2 and a gid= that PID 1 has", err)
		return true
	}
	u.start.executed, u.start.lastLogged = true, ""
	u.post(eventLaunched)
	return false
}

// ready records the first proof of the gateway.
func (u *gatewayUnit) ready() {
	now := time.Now()
	u.start.proven, u.start.readyTimedOut, u.start.evict, u.waiting, u.drain = now, false, 0, nil, 0
	u.setTrouble("", "")
	u.log.Info().Str("event", evProven).Int("pid", u.child.pid()).Stringer("after", now.Sub(u.child.started)).Msg("")
}

// readyTimeout records the end of ready.timeout. asked means that a worker waits for the
// gateway's answer.
func (u *gatewayUnit) readyTimeout(asked bool) {
	u.start.readyTimedOut = true
	// No attempt has ended yet, or the last one ended before the gateway listened.
	if u.trouble.reason == "" || asked && u.trouble.reason == reason.ListenerMissing {
		u.setTrouble(reason.HealthTimeout, "no answer within "+u.g.Ready.Timeout.String())
	}
	u.log.Warn().Str("event", evReadyTimeout).Str("reason", string(u.trouble.reason)).Str("detail", u.trouble.detail).Msg("")
}

// giveUp counts a gateway that is alive but does not serve as a failure, and has it
// replaced.
func (u *gatewayUnit) giveUp(why string) {
	u.gaveUp = true
	u.crashes++
	u.backoff.streak++
	u.log.Warn().Str("event", evUnresponsive).Int("pid", u.child.pid()).Str("detail", u.trouble.detail).Msg(why)
	u.post(eventRestart)
}

// listeners converts the first 8 listeners for the status record.
func listeners(ls []sockets.Listener) []status.Listener {
	out := make([]status.Listener, 0, len(ls))
	for _, l := range ls[:min(len(ls), 8)] {
		out = append(out, status.Listener{Addr: l.Addr.String(), UID: l.UID, Inode: l.Inode})
	}
	return out
}
