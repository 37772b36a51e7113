// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor"
)

// sharedSignal is the signal that gateway-init in a second container sends to a
// gateway-init that is PID 1 of the PID namespace they share (docker run --pid
// container:C). It says that from now on processes of another container may have
// the gateway's UID too. It is a real-time signal, and comes from root only.
const sharedSignal = syscall.Signal(50)

// haltSignal is SIGRTMIN+3 of the C library, by which podman and systemd-nspawn stop an
// init that they take for systemd. LXC and Incus stop theirs by SIGPWR.
const haltSignal = syscall.Signal(37)

// Shield makes PID 1 ignore the signals that would end it and that subscribe leaves out:
// those that Go's runtime dies of without a subscriber, and the two that it neither
// handles nor reports. It comes before anything that can fail or take time. A re-exec
// child gives the two their default action. Nor may a child inherit an ignored signal of
// job control, of whose default action the kernel protects PID 1. Another process than
// PID 1 has no such protection, and subscribes to every signal. For SIGTTOU see subscribe.
func Shield() {
	if os.Getpid() == 1 {
		sys.IgnoreSignals(unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGSTKFLT, unix.SIGSYS, 32, 34)
		sys.DefaultSignals(unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN)
	}
}

// subscribe subscribes to the signals, before anything is started. TERM, INT, QUIT and
// HUP that come earlier end the process, which has nothing to stop (init/plain/entry).
// PWR and haltSignal are lost until then: Go's runtime drops them. A subscription makes
// threads, and takes two changes of thread. So there are few, and they come after the
// privileges were dropped, which takes one call per thread and capability.
//
// Signals that mean nothing here go into a channel without a reader; the runtime
// drops those that do not fit.
//
// SIGTTOU is ignored. A command can have the kernel stop what writes to its terminal from
// the background (TOSTOP, termios(3)), also after the command's end. With another action
// our write fails, or the kernel begins it again without end, which takes a whole CPU.
func subscribe() supervisor.Signals {
	s := supervisor.Signals{
		Child:  make(chan os.Signal, 1),
		Stop:   make(chan os.Signal, 8),
		Noted:  make(chan os.Signal, 4),
		Shared: make(chan os.Signal, 1),
	}
	// The stop signals come first. A stop signal that arrived while only another
	// channel existed would be lost in that channel.
	signal.Notify(s.Stop, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGPWR, haltSignal)
	signal.Notify(s.Child, unix.SIGCHLD)
	signal.Notify(s.Noted, unix.SIGWINCH, unix.SIGUSR1, unix.SIGUSR2)
	signal.Notify(s.Shared, sharedSignal)
	// The runtime makes panics of our own faults, so it must handle these signals.
	// For SIGPIPE see ignorePipe.
	rest := []os.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGPIPE}
	if os.Getpid() != 1 {
		rest = nil // all
	}
	signal.Notify(make(chan os.Signal, 1), rest...)
	sys.IgnoreSignals(unix.SIGTTOU)
	return s
}

// ignorePipe is for a process that starts nothing, before subscribe or at its end. Go's
// runtime ends a process that writes to a stdout or stderr without a reader, unless
// SIGPIPE is subscribed to or ignored.
func ignorePipe() { signal.Ignore(unix.SIGPIPE) }
