// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/ports"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// process is a child that was started and is not reaped yet.
type process interface {
	Pid() int
	PIDFD() int // or -1
	Signal(syscall.Signal) error
	SignalGroup(syscall.Signal) error
	SignalRest(syscall.Signal) error // as SignalGroup, and after the child was reaped, too
	Close()
}

// report takes a re-exec child's answer. found is a worker's.
type report func(found string, err error)

// kernel has the functions by which the loop asks the operating system, so that a
// simulation can stand in its place. No function blocks.
type kernel struct {
	// start forks a child. report is called once, from another goroutine, when the
	// re-exec child has answered. unscored says why the child has no OOM score.
	start     func(l launch.Child, report report) (p process, unscored, err error)
	identify  func(pid int) (procfs.ID, error)
	verify    func(procfs.ID) error
	listeners func(port uint16) ([]sockets.Listener, error)
	ofUser    func(uid uint32) ([]sockets.Listener, error) // those on any port
	// judge decides by open files whose listeners these are, where uids prove nothing.
	judge func(ls []sockets.Listener, pid int) (proof.Ownership, []sockets.Listener, error)
	// probe returns an error if another process has the port, perhaps without listening.
	probe   func(port uint16) error
	peek    func() (pid int, err error)
	reap    func(pid int) (sys.Exit, error)
	stopped func(pid int) (unix.Signal, error) // the signal that has stopped a child since the last call
	killAll func() error                       // SIGKILL to every other process of the PID namespace
	trim    func()
	isInit  bool // this is PID 1, so killAll reaches every process
}

func realKernel() kernel {
	return kernel{
		start: func(l launch.Child, report report) (process, error, error) {
			p, err := launch.Start(l, func(_ int, found string, err error) { report(found, err) })
			if err != nil {
				return nil, nil, err
			}
			return p, p.Unscored, nil
		},
		identify: procfs.Identify, verify: procfs.ID.Verify,
		listeners: sockets.Listeners, ofUser: sockets.ListenersOf, judge: proof.JudgeHolders, probe: ports.Probe,
		peek: sys.Peek, reap: sys.Reap, stopped: sys.Stopped, trim: new(sys.Trimmer).Trim,
		killAll: func() error { return sys.Kill(-1, unix.SIGKILL) }, isInit: os.Getpid() == 1,
	}
}
