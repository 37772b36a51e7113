// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/sweep"
)

// again is the interval at which SIGKILL is repeated. A subreaper gets the children
// of the processes that it killed, one generation after the other.
const again = 10 * time.Millisecond

// endOthers ends the processes that the command left behind, if --grace says so. It
// sends SIGTERM, after the grace SIGKILL, and reaps them. Without --grace we end as
// tini does, and the kernel kills the rest if we are PID 1.
func (p *initProcess) endOthers() {
	if p.Grace < 0 {
		return
	}
	deadline := time.Now().Add(p.Grace)
	if p.Grace > 0 {
		p.signalOthers(unix.SIGTERM)
		p.signalOthers(unix.SIGCONT) // a stopped process could not handle SIGTERM
	}
	// Without the timer the wait could last for ever, so there is no grace then.
	if err := sys.InterruptAfter(max(p.Grace, again), again, unix.SIGALRM); err != nil {
		p.say(1, "warning", "no grace: %v", err)
		deadline = time.Now()
	}
	for {
		if !time.Now().Before(deadline) {
			p.signalOthers(unix.SIGKILL)
		}
		switch e, err := sys.Wait(false); {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD: all are gone
			return
		default:
			p.orphan(e)
		}
	}
}

// signalOthers sends sig to every other process of our PID namespace if we are its
// PID 1, and otherwise to our descendants. SIGKILL, which is repeated, goes to our
// children, which no other process can reap.
func (p *initProcess) signalOthers(sig unix.Signal) {
	switch {
	case os.Getpid() == 1:
		sys.Kill(-1, sig)
	case sig == unix.SIGKILL:
		pids, _ := sweep.Children()
		for _, pid := range pids {
			sys.Kill(pid, sig)
		}
	default:
		sweep.SignalBelow(sig, func(int) bool { return true })
	}
}
