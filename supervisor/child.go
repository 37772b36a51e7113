// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"strconv"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// role says what a child is.
type role uint8

// The roles.
const (
	roleGateway role = iota
	roleWorker
	roleSidecar
	roleRelay
	roleCommand
)

// groupFate says what becomes of the rest of a child's process group when the child
// has ended.
type groupFate uint8

// The fates.
const (
	groupStays groupFate = iota
	groupDies            // it is killed at once
	groupEnds            // it is asked to end, and killed after a grace
)

// child is a process that PID 1 started.
type child struct {
	role     role
	sidecar  *sidecar // of roleSidecar
	proc     process
	id       procfs.ID
	life     uint64 // of roleGateway: its number, from 1
	started  time.Time
	reported bool   // the re-exec child has answered
	err      error  // its answer; nil: the target was executed
	found    string // a worker's answer
	exit     *sys.Exit
	over     bool           // end has returned true
	asked    bool           // we told it to end
	group    groupFate      // what becomes of the rest of its process group
	told     bool           // its process group got SIGTERM
	killed   bool           // its process group got SIGKILL
	waiting  []func() error // signals for the target, until the re-exec child has answered
}

// answer carries a re-exec child's report into the loop.
type answer struct {
	c     *child
	found string
	err   error
}

// alive reports whether c was started and is not reaped yet. Only then may it be
// signaled.
func (c *child) alive() bool { return c != nil && c.exit == nil }

// pending reports whether c's end is still to be handled. A child can be reaped before
// its re-exec child's answer is read. It is then neither alive nor over.
func (c *child) pending() bool { return c != nil && !c.over }

// mustAnswer reports whether c is killed if its re-exec child does not answer in time.
// Otherwise the gateway would be starting forever. A worker has its own deadline, and
// the command may take any time.
func (c *child) mustAnswer() bool {
	return c.role == roleGateway || c.role == roleSidecar || c.role == roleRelay
}

// pid returns c's pid, or 0 if c is nil.
func (c *child) pid() int {
	if c == nil {
		return 0
	}
	return c.proc.Pid()
}

// startedAt returns the time of c's start, or nil if c is nil.
func (c *child) startedAt() *time.Time {
	if c == nil {
		return nil
	}
	at := c.started
	return &at
}

// signal sends sig to c's process, and signalGroup to its process group.
func (c *child) signal(sig syscall.Signal) error {
	return c.toTarget(sig, func() error { return c.proc.Signal(sig) })
}

func (c *child) signalGroup(sig syscall.Signal) error {
	return c.toTarget(sig, func() error {
		c.told, c.killed = c.told || sig == syscall.SIGTERM, c.killed || sig == syscall.SIGKILL
		return c.proc.SignalGroup(sig)
	})
}

// leaveGroup is called when c has ended and is not reaped, so that no other group can
// have the number of c's group. It kills a group that is to die. It keeps one that is to
// end, if the group can be signaled when c is reaped. Otherwise it kills that one, too,
// and returns the error.
func (c *child) leaveGroup() (err error) {
	if c.group == groupEnds && !c.killed {
		if err = c.proc.SignalRest(0); err == nil {
			return nil
		}
		c.group = groupDies
	}
	if c.group != groupStays {
		c.signalGroup(syscall.SIGKILL)
	}
	return err
}

// keepsGroup reports whether the rest of c's process group has a grace now that c was
// reaped. Then the owner of c closes its process.
func (c *child) keepsGroup() bool { return c.group == groupEnds && !c.killed }

// toTarget delays a signal until the re-exec child has answered. A re-exec child has
// several threads, and the kernel gives a signal to any of them. If execve(2) ends
// that thread before its handler has finished, the signal is lost. SIGKILL is never
// lost, so it is sent at once.
func (c *child) toTarget(sig syscall.Signal, send func() error) error {
	if c.reported || sig == syscall.SIGKILL {
		return send()
	}
	c.waiting = append(c.waiting, send)
	return nil
}

// failedAt returns the step that a re-exec child's answer names, or "" if it names
// none. StepDied means that it said neither that the target runs nor why it does not.
func failedAt(err error) launch.Step {
	var f *launch.Failure
	if errors.As(err, &f) {
		return f.Step
	}
	return ""
}

// end returns true once, when the exit and the re-exec child's answer have arrived.
func (c *child) end() bool {
	if c.exit == nil || !c.reported || c.over {
		return false
	}
	c.over = true
	return true
}

func formatInt(n int) string { return strconv.Itoa(n) }
