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

// child is a process that PID 1 started: the gateway, the command, a sidecar or
// a worker.
type child struct {
	proc     process
	id       procfs.ID
	started  time.Time
	reported bool  // the re-exec child has answered
	err      error // its answer; nil: the target was executed
	exit     *sys.Exit
	over     bool           // done was called
	asked    bool           // we told it to end
	group    bool           // the rest of its process group is killed when it ends
	waiting  []func() error // signals for the target, until the re-exec child has answered

	up   func(*child) // called once, when the target was executed; may be nil
	done func(*child) // called once, when it was reaped and the re-exec child has answered
}

// answer carries a re-exec child's report into the loop.
type answer struct {
	c   *child
	err error
}

// start forks c's process and tracks it until done was called. A child that is to
// have the token gets the token in force. The error matches errToken if that token
// cannot be handed over.
func (s *Supervisor) start(l launch.Child, c *child) error {
	if l.Spec.Token != nil {
		closeToken, err := s.handToken(&l)
		if err != nil {
			return err
		}
		defer closeToken()
	}
	proc, unscored, err := s.kernel.start(l, func(err error) { s.answers <- answer{c, err} })
	if err != nil {
		return err
	}
	c.proc, c.started = proc, time.Now()
	s.scored(unscored)
	c.id, err = s.kernel.identify(proc.Pid())
	if err != nil { // it may have ended already; its pid is not reused before we reap it
		c.id = procfs.ID{PID: proc.Pid()}
	}
	s.children[proc.Pid()] = c
	return nil
}

// alive reports whether c was started and is not reaped yet. Only then may it be
// signaled.
func (c *child) alive() bool { return c != nil && c.exit == nil }

// pending reports whether done is still to be called. A child can be reaped before
// its re-exec child's answer is read. It is then neither alive nor over.
func (c *child) pending() bool { return c != nil && !c.over }

// pid returns c's pid, or 0 if c is nil.
func (c *child) pid() int {
	if c == nil {
		return 0
	}
	return c.proc.Pid()
}

// signal sends sig to c's process, and signalGroup to its process group.
func (c *child) signal(sig syscall.Signal) error {
	return c.toTarget(sig, func() error { return c.proc.Signal(sig) })
}

func (c *child) signalGroup(sig syscall.Signal) error {
	return c.toTarget(sig, func() error { return c.proc.SignalGroup(sig) })
}

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

// answered handles a re-exec child's answer. A child with an up function is killed if
// it did not answer in time. Otherwise up would never be called, and the gateway
// would be starting forever. A worker has no up function, and may take longer.
func (s *Supervisor) answered(a answer) {
	a.c.reported, a.c.err = true, a.err
	s.trimMemory = s.trimMemory || a.c == s.shutdown.command // mostly the last work for now
	switch {
	case a.c.up == nil:
	case a.err == nil:
		a.c.up(a.c)
	case failedAt(a.err) == launch.StepDied && a.c.alive():
		if err := a.c.signal(syscall.SIGKILL); err != nil {
			s.fault("cannot kill what has not answered", err)
		}
	}
	for _, send := range a.c.waiting {
		if !a.c.alive() {
			break
		}
		if err := send(); err != nil {
			s.fault("cannot signal the target of a re-exec child", err)
		}
	}
	a.c.waiting = nil
	a.c.end()
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

// end calls done once, when the exit and the re-exec child's answer have arrived.
func (c *child) end() {
	if c.exit != nil && c.reported && !c.over {
		c.over = true
		c.done(c)
	}
}

// reapLimit bounds one turn of the loop, so that 20,000 orphans delay nothing
// else.
const reapLimit = 256

// reap reaps every child that has ended, and reports whether it stopped early. One
// SIGCHLD may stand for many exits, so it goes on until the kernel has no more. It
// looks at a child before reaping it, because until then no other process can have
// the pid.
func (s *Supervisor) reap() (more bool) {
	s.orphansOnly = true
	for range reapLimit {
		pid, err := s.kernel.peek()
		if err != nil {
			s.fault("cannot look for ended children", err)
			return false
		}
		if pid == 0 {
			return false
		}
		c := s.children[pid]
		if c != nil && c.group { // until it is reaped, no other group can have its number
			c.signalGroup(syscall.SIGKILL)
		}
		exit, err := s.kernel.reap(pid)
		if err != nil {
			s.fault("cannot reap", err)
			return false
		}
		if c == nil {
			continue // an orphan that was handed to us
		}
		s.orphansOnly = false
		delete(s.children, pid)
		c.exit = &exit
		c.proc.Close()
		c.end()
	}
	return true
}

func formatInt(n int) string { return strconv.Itoa(n) }
