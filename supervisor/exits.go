// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/exitauth"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// plainRetry is the delay of the next start after a failure that is not the gateway's
// fault.
const plainRetry = time.Second

// ending is what the end of a gateway means beyond its event.
type ending uint8

// The endings.
const (
	endedItself  ending = iota // or as we asked it to
	endedByRoot                // root has ended it from outside, which is a requested restart
	endedForGood               // the very first launch shows that the image can never work
)

// ended records the end of the gateway, or of its re-exec child, and posts its event.
func (u *gatewayUnit) ended() ending {
	c, how, served := u.child, endedItself, !u.start.proven.IsZero()
	if c.err == nil && !c.asked && u.authorized(c) {
		c.asked, how = true, endedByRoot
	}
	code := c.exit.Code()
	last := &status.Exit{PID: c.pid(), Code: code, Text: u.g.ExitText(code), At: time.Now(), Requested: c.asked, Proven: served}
	if c.exit.Status.Signaled() {
		last.Signal = int(c.exit.Status.Signal())
	}
	u.lastExit, u.origin = last, u.originOf(c, how)
	if u.cannotEverStart(c.err) {
		u.child = nil
		return endedForGood
	}
	if c.err != nil {
		u.failStart(u.notExecuted(c.err))
		return how
	}
	u.log.Info().Str("event", evExited).Int("pid", c.pid()).Int("code", code).
		Int("signal", last.Signal).Bool("requested", c.asked).Bool("proven", served).Msg("")
	if how == endedByRoot {
		u.post(eventRestart)
	} else {
		u.post(eventDied)
	}
	return how
}

// authorized reports whether root ended c from outside. Such an exit is a requested
// restart, so the next start is immediate and the exit does not count as a failure.
func (u *gatewayUnit) authorized(c *child) bool {
	if u.c.Authorized == nil {
		return false
	}
	controller, err := u.c.Authorized(c.id)
	switch {
	case err == nil:
		u.log.Info().Str("event", evExitAuthorized).Int("pid", c.pid()).Int("controller", controller).Msg("")
	case !errors.Is(err, exitauth.ErrNone):
		u.log.Warn().Str("event", evExitNotAuthorized).Int("pid", c.pid()).Err(err).Msg("")
	}
	return err == nil
}

// cannotEverStart reports whether the very first launch shows that the image can never
// work, because the program is missing or cannot be executed.
func (u *gatewayUnit) cannotEverStart(err error) bool {
	first := !u.start.launchedBefore
	u.start.launchedBefore = true
	if !first || err == nil {
		return false
	}
	for _, errno := range []error{syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC} {
		if errors.Is(err, errno) {
			u.start.fatal = u.notExecuted(err).err
			return true
		}
	}
	return false
}

// notExecuted returns a start error that says which step of the gateway's launch failed.
func (u *gatewayUnit) notExecuted(err error) *startError {
	e, spec := &startError{reason: reason.LaunchFailed, exited: true}, u.c.Gateway.Spec
	switch failedAt(err) {
	case launch.StepTokenFailed:
		e.reason, e.plain = reason.TokenFailed, true
	case launch.StepTokenChanged:
		e.reason, e.plain = reason.TokenChanged, true
	case launch.StepDied:
		e.plain = true // killed, or out of pids, which is not the gateway's fault
	case launch.StepConfine:
		e.err = fmt.Errorf("cannot confine the gateway (gateway.confine): %w", err)
		return e
	case launch.StepDir:
		var f *launch.Failure // without its explanation, which names the directory once more
		errors.As(err, &f)
		err = f
		e.err = fmt.Errorf("cannot enter the gateway's working_dir %s as uid %d: %w: %s", spec.Dir, u.c.Gateway.UID, err, dirAdvice(u.c.Gateway.UID, err))
		return e
	}
	if e.reason != reason.LaunchFailed {
		e.err = fmt.Errorf("cannot hand the gateway its token, its file is missing or changed: %w", err)
	} else {
		e.err = fmt.Errorf("cannot execute the gateway %s: %w", spec.Argv[0], err)
	}
	return e
}

// dirAdvice says what to do about a working_dir that a user cannot enter.
func dirAdvice(uid uint32, err error) string {
	if errors.Is(err, syscall.EACCES) {
		return "chown " + formatInt(int(uid)) + " it, or correct gateway.working_dir"
	}
	return "make it in the image, or correct gateway.working_dir"
}

// scheduleRetry counts the exit or the failed start, and arms the backoff. It returns
// the listeners that have the gateway's port now.
func (u *gatewayUnit) scheduleRetry() (foreign []status.Listener) {
	delay, failure := plainRetry, false
	why, detail := reason.Exited, ""
	again := false // the same failure was logged at the last try, a second ago
	if u.lackedRoom() {
		u.makeRoom()
	} else {
		u.start.evict = 0
	}
	switch e := u.start.err; {
	case e != nil:
		why, detail, foreign = e.reason, e.err.Error(), e.foreign
		if !e.plain {
			delay, failure = u.backoff.countFailure(exitFacts{code: -1})
		}
		if again = e.plain && detail == u.start.lastLogged; !again {
			u.log.Warn().Str("event", evStartFailed).Str("reason", string(why)).Err(e.err).Msg("")
		}
	case u.child != nil && u.child.exit != nil:
		delay, failure = u.backoff.countFailure(u.exitFacts())
		foreign = u.portTaken()
		if alive, err := u.c.Sweeper.Alive(); alive && err == nil { // they have the time of the backoff
			u.sweep.asked = false
			u.askToEnd()
		}
		detail = u.exitDetail(u.child.exit.Code(), delay, foreign)
	}
	if failure {
		u.crashes++
	}
	if e := u.start.err; u.lastExit != nil && (e == nil || e.exited) {
		u.lastExit.Failure = failure
	}
	u.child, u.start.proven = nil, time.Time{}
	u.setTrouble(why, detail)
	u.timers.arm(retryTimer, delay)
	u.waiting = &status.Waiting{Until: time.Now().Add(delay), DelayMS: delay.Milliseconds(), Streak: u.backoff.streak}
	if u.start.lastLogged = detail; !again {
		u.log.Info().Str("event", evBackoff).Str("reason", string(why)).Str("detail", detail).Stringer("delay", delay).
			Bool("failure", failure).Int("streak", u.backoff.streak).Msg("")
	}
	return foreign
}

func (u *gatewayUnit) exitFacts() exitFacts {
	e := exitFacts{code: u.child.exit.Code(), proven: !u.start.proven.IsZero()}
	if e.proven {
		e.served = time.Since(u.start.proven)
	}
	return e
}

// exitDetail returns the text for an exit. It names the socket that holds the port
// although the gateway has just ended. Usually that belongs to a process that got the
// listener from the gateway, and the next sweep ends that process.
func (u *gatewayUnit) exitDetail(code int, delay time.Duration, foreign []status.Listener) string {
	detail := "the gateway ended with exit code " + formatInt(code)
	if text := u.g.ExitText(code); text != "" {
		detail += " (" + text + ")"
	}
	if len(foreign) > 0 {
		detail += "; " + foreign[0].Addr + " is still held" + u.listenerDetail(foreign[0].UID)
	}
	for _, l := range foreign {
		if !u.c.Unseparated && l.UID != u.c.Gateway.UID {
			u.expose("the gateway's port was taken when it ended")
		}
	}
	if u.backoff.held(code) {
		detail += "; the next try is after " + delay.String() + ", gatewayctl recover tries at once"
	}
	return detail
}
