// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
)

const (
	shutdownPauseMin = 2 * time.Millisecond // first pause before checking that all processes are gone; doubles
	shutdownPauseMax = 50 * time.Millisecond
	killBound        = time.Second // after SIGKILL to all processes
	codeKilled       = 128 + int(unix.SIGKILL)
)

// shutdown owns the container's command and the end of the container.
type shutdown struct {
	*common
	command        *child
	commandStarted bool // the command was started, or could not be
	commandCode    *int // its exit code, once it has ended
	begun          bool
	pause          time.Duration // before the next check that all processes are gone
	killed         bool          // a process had to be killed at the end
	killDeadline   time.Time     // set once all processes were killed
	code           int           // of the container
	over           bool
	ignored        uint64 // the signals that were logged as ignored
}

// fill sets what the record says about the command and the goal.
func (d *shutdown) fill(r *status.Record) {
	if d.begun {
		r.Goal = status.GoalExit
	}
	c := d.c.Command
	if c == nil {
		return
	}
	r.Command = &status.Child{Name: "command", State: "waiting", UID: c.UID}
	switch {
	case d.commandCode != nil:
		r.Command.State, r.Command.Detail = "stopped", "ended with exit code "+formatInt(*d.commandCode)
	case d.command.pending(): // also if it was reaped before its re-exec child has answered
		r.Command.State, r.Command.PID, r.Command.StartedAt = "running", d.command.pid(), d.command.startedAt()
	}
}

// noteIgnored logs a signal that has no effect, once. Base images name such signals as
// STOPSIGNAL, and then only SIGKILL ends the container.
func (d *shutdown) noteIgnored(sig os.Signal) {
	if n := sig.(syscall.Signal); d.ignored&(1<<n) == 0 {
		d.ignored |= 1 << n
		d.log.Warn().Str("event", evSignalIgnored).Stringer("signal", sig).
			Msg("it has no effect, and is not logged again: to stop the container send SIGTERM (STOPSIGNAL), for SIGHUP set gateway.reload.signal")
	}
}

// forward sends a signal of the terminal to the command if that owns it, and reports
// whether it did.
func (d *shutdown) forward(sig os.Signal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP:
	default: // it ends the container
		return false
	}
	if !d.command.alive() || !d.c.Command.Spec.Foreground {
		return false
	}
	d.log.Info().Str("event", evSignal).Stringer("signal", sig).Msg("")
	if err := d.command.signalGroup(sig.(syscall.Signal)); err != nil {
		d.fault("cannot forward a signal to the command", err)
	}
	return true
}

// begin begins the shutdown, and reports whether it had not begun yet.
func (d *shutdown) begin() bool {
	if d.begun {
		return false
	}
	d.begun = true
	d.log.Info().Str("event", evShutdown).Stringer("grace", d.g.StopGrace).Msg("")
	return true
}

// terminate asks the command, and all processes of other users, to end within the grace.
func (d *shutdown) terminate() {
	if d.command.alive() {
		d.command.asked = true
		d.command.signal(syscall.SIGTERM)
		d.command.signal(syscall.SIGCONT) // a stopped process does not see SIGTERM
	}
	for _, uid := range d.c.Others {
		d.c.Sweeper.Signal(uid, syscall.SIGTERM)
		d.c.Sweeper.Signal(uid, syscall.SIGCONT)
	}
	d.timers.arm(shutdownGraceTimer, d.g.StopGrace)
	d.pause = shutdownPauseMin
	d.timers.arm(shutdownTimer, d.pause)
}

// noteKill records that a process had to be killed at the end.
func (d *shutdown) noteKill(killed bool) { d.killed = d.killed || d.begun && killed }

// poll reports whether all processes are gone. It does not wait for root's own processes
// (a docker exec), because they end with the PID namespace.
func (d *shutdown) poll(gatewayGone bool) bool {
	if gatewayGone && !d.command.pending() && !d.othersAlive() {
		return true
	}
	if !d.killDeadline.IsZero() && !d.kernel.isInit {
		d.killRemaining() // processes that were forked since the last check
	}
	d.pause = min(2*d.pause, shutdownPauseMax)
	d.timers.arm(shutdownTimer, d.pause)
	return false
}

func (d *shutdown) othersAlive() bool {
	for _, uid := range d.c.Others {
		if alive, err := d.c.Sweeper.Others(uid); err != nil || alive {
			return true
		}
	}
	return false
}

// force handles the end of the grace. It kills all remaining processes, and waits at
// most killBound for them to end. It reports whether that time is over, too: a process
// that survives SIGKILL for a second is stuck in the kernel.
func (d *shutdown) force() bool {
	if d.killed && !d.killDeadline.IsZero() {
		return true
	}
	d.killed = true
	d.killDeadline = time.Now().Add(killBound)
	d.log.Warn().Str("event", evKilled).Msg("the container's processes did not end within the grace")
	d.killRemaining()
	d.timers.arm(shutdownGraceTimer, killBound)
	d.timers.arm(shutdownTimer, shutdownPauseMin)
	return false
}

// killRemaining sends SIGKILL to all remaining processes. As PID 1, one call is
// enough, because the kernel kills every process of the namespace in one step, and a
// fork under way does not succeed.
func (d *shutdown) killRemaining() {
	if d.kernel.isInit {
		if err := d.kernel.killAll(); err != nil && !errors.Is(err, unix.ESRCH) {
			d.fault("cannot kill what is left", err)
		}
		return
	}
	for _, uid := range d.c.Others {
		d.c.Sweeper.Signal(uid, syscall.SIGKILL)
	}
	if d.command.alive() {
		d.command.signal(syscall.SIGKILL)
	}
}

// complete ends the loop and sets the container's exit code. It is the command's exit
// code, if there was a command, and 1 if the image can never work.
func (d *shutdown) complete(fatal error) {
	d.over = true
	switch {
	case fatal != nil:
		d.code = 1
	case d.commandCode != nil:
		d.code = *d.commandCode
	case d.killed:
		d.code = codeKilled
	}
	d.log.Info().Str("event", evTerminated).Int("code", d.code).Msg("")
}
