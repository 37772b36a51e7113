// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// terminal is our controlling terminal, if stdin is it.
type terminal struct {
	is     bool
	leader bool // of the session, or below an init, so no shell above us could continue a job
	given  bool // the command's group has the foreground from us
}

const stdin = 0

func openTerminal() terminal {
	t := terminal{is: sys.IsControlling(stdin)}
	t.leader = t.is && (sys.LeadsSession() || isBelowInit())
	return t
}

// isBelowInit reports whether our parent is an init (docker run --init -it) that gave us
// the terminal as a shell does, and continues no job.
func isBelowInit() bool {
	if os.Getppid() != 1 {
		return false
	}
	name, err := sys.ReadFile("/proc/1/comm")
	return err == nil && procfs.IsOtherInit(strings.TrimSuffix(string(name), "\n"))
}

// forChild returns the descriptor whose foreground the command gets, or -1. If a
// shell started us in the background (gateway-init ... &), the command gets none.
func (t *terminal) forChild() int {
	if t.given = t.is && sys.Foreground(stdin); t.given {
		return stdin
	}
	return -1
}

// giveBack puts our group in the foreground again, because the shell that started
// us expects its job there.
func (t *terminal) giveBack() {
	if t.given {
		t.given = false
		sys.TakeForeground(stdin) // the terminal may be gone
	}
}

// give lets the command have the terminal if our group has it.
func (t *terminal) give(group int) {
	if sys.Foreground(stdin) {
		t.given = sys.GiveForeground(stdin, group) == nil
	}
}

// stopped handles the stop of the command. Under a shell we stop too, so that the
// shell sees the job stopped, and go on when it continues us (fg, bg). Without a
// shell above us no process would ever continue the command. The kernel does not let
// the terminal stop such a group at all (setpgid(2), orphaned process groups), and
// the command goes on.
func (p *initProcess) stopped(stop unix.Signal) {
	fromTerminal := stop == unix.SIGTSTP || stop == unix.SIGTTIN || stop == unix.SIGTTOU
	asked := p.asked[stop]
	p.asked[stop] = false
	switch {
	case p.terminal.leader && (asked || !fromTerminal):
		return
	case p.terminal.leader:
	case stop != unix.SIGTSTP && fromTerminal && sys.Foreground(stdin):
		// After fg of a running job, the shell gave us the terminal and no signal.
	default:
		p.say(2, "info", "%q was stopped by %s", p.Command[0], unix.SignalName(stop))
		p.terminal.giveBack()
		sys.StopSelf()
	}
	p.terminal.give(p.child)
	sys.Kill(-p.child, unix.SIGCONT)
}
