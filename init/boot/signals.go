// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/supervisor"
)

// sharedSignal is the signal that gateway-init in a second container sends to a
// gateway-init that is PID 1 of the PID namespace they share (docker run --pid
// container:C). It says that from now on processes of another container may have
// the gateway's UID too. It is a real-time signal, and comes from root only.
const sharedSignal = syscall.Signal(50)

// Subscribe subscribes to every signal, and is the first thing that PID 1 does. Go's
// runtime installs handlers of its own, which lift the kernel's protection of PID 1,
// and dies of 11 signals that have no subscriber. Signals that mean nothing here go
// into a channel without a reader; the runtime drops those that do not fit.
func Subscribe() supervisor.Signals {
	s := supervisor.Signals{
		Child:  make(chan os.Signal, 1),
		Stop:   make(chan os.Signal, 8),
		Shared: make(chan os.Signal, 1),
	}
	// The stop signals come first. A stop signal that arrived while only another
	// channel existed would be lost in that channel.
	signal.Notify(s.Stop, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP)
	signal.Notify(s.Child, unix.SIGCHLD)
	signal.Notify(s.Shared, sharedSignal)
	signal.Notify(make(chan os.Signal, 1))
	return s
}
