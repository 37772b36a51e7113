package boot

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"gatewayinit/supervisor"
)

// sharedSignal is what gateway-init in a second container tells a gateway-init
// that is PID 1 of the PID namespace they share (docker run --pid container:C):
// from now on the gateway's UID may be somebody else's too. A real-time signal,
// from root only.
const sharedSignal = syscall.Signal(50)

// Subscribe is the first thing PID 1 does. It takes every signal: Go's runtime
// installs handlers of its own, which lift the kernel's protection of PID 1, and
// dies of 11 signals that nobody subscribed to. Those that mean nothing here go
// into a channel that nobody reads; what does not fit is dropped by the runtime.
func Subscribe() supervisor.Signals {
	s := supervisor.Signals{
		Child:  make(chan os.Signal, 1),
		Stop:   make(chan os.Signal, 8),
		Shared: make(chan os.Signal, 1),
	}
	// The stop signals first: one that came when only the others' channel was
	// there would be lost in it.
	signal.Notify(s.Stop, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP)
	signal.Notify(s.Child, unix.SIGCHLD)
	signal.Notify(s.Shared, sharedSignal)
	signal.Notify(make(chan os.Signal, 1))
	return s
}
