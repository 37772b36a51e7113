// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Child describes the process that the fork has to set up.
type Child struct {
	Spec     Spec
	UID, GID uint32
	Groups   []uint32      // supplementary
	Stdio    [3]*os.File   // the caller keeps them
	Token    *os.File      // becomes TokenFD, if Spec has a Token; the caller keeps it
	PIDFD    int           // the gateway's, becomes LifeFD of a worker; 0: none; the caller keeps it
	Pass     []*os.File    // the target has them from descriptor 3 on; the caller keeps them
	Patience time.Duration // how long a worker has for its answer, if that is more than reportTimeout
	Started  *Started      // nil: we changed nothing
	Answered func()        // called when the re-exec child has answered or ended, before report; may be nil

	holding holding
}

// Proc is a started child. The code that reaps the child must Close it.
type Proc struct {
	PID      int
	Unscored error // why it lacks the OOM score of its Spec, or why PID 1 kept it; nil: all is well
	pidfd    int   // -1 where the kernel has none
	dir      int   // /proc/PID of a confined target, or -1
}

// Pid returns the process's id.
func (p *Proc) Pid() int { return p.PID }

// reportTimeout bounds the wait for a re-exec child's answer, because a process of
// the target's UID could hold the pipe open, and a re-exec child could be stopped.
const reportTimeout = 10 * time.Second

// Start forks and executes the re-exec child, and returns as soon as that runs.
// report is called once, from another goroutine, with nil if the target runs and with
// a *Failure if it does not. A worker has no target: found is what it has written, or "",
// and the error is nil if it has written that. Start returns errors of the fork itself (EAGAIN at the
// pids limit), and then leaves nothing behind.
func Start(c Child, report func(pid int, found string, err error)) (*Proc, error) {
	c.Spec.Life, c.Spec.Pass = c.PIDFD > 0, len(c.Pass)
	adj := c.Spec.OOMAdj
	if c.changesUser() { // its re-exec child cannot set the score, see raiseScore
		c.Spec.OOMAdj = 0
	} else {
		adj = 0
	}
	c.Spec.Mask = int64(c.mask())
	data, err := c.Spec.encode()
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name(c.Spec), err)
	}
	spec, err := sys.Memfd("launch-spec", data)
	if err != nil {
		return nil, err
	}
	defer spec.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if c.holding, err = newHolding(c.Spec); err != nil {
		r.Close()
		return nil, err
	}
	defer c.holding.close()
	p, err := fork(c, adj, spec, w)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("cannot start %s: %w", name(c.Spec), err)
	}
	c.holding.err = c.holding.hold(p)
	if c.Spec.Stay { // the child has that directory now, and we do not keep it busy
		_ = os.Chdir("/") // every process may enter it
	}
	go func() {
		defer r.Close()
		found, err := readReport(r, max(reportTimeout, c.Patience))
		if c.Answered != nil {
			c.Answered()
		}
		report(p.PID, found, c.explain(err))
	}()
	return p, nil
}

// name returns the name of the re-exec child in a process listing.
func name(s Spec) string {
	if len(s.Argv) == 0 {
		return "worker"
	}
	return s.Argv[0]
}

// readReport waits for the answer of the re-exec child, which writes Ready right
// before execve(2). End of file after that means that the target runs. End of file
// without it means that the re-exec child was killed (or died at the pids limit). found is
// what a worker has found out.
func readReport(r *os.File, limit time.Duration) (found string, err error) {
	r.SetReadDeadline(time.Now().Add(limit))
	buf := make([]byte, maxReport)
	n, err := io.ReadFull(r, buf)
	if found, ok := strings.CutPrefix(string(buf[:n]), Found); ok {
		return found, nil
	}
	text, ready := strings.CutPrefix(string(buf[:n]), Ready)
	switch {
	case text != "":
		return "", parseReport(text)
	case ready:
		return "", nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", &Failure{Step: StepDied, Errno: syscall.ETIMEDOUT}
	default:
		return "", &Failure{Step: StepDied}
	}
}

// PIDFD returns the process's pidfd, or -1. The Proc keeps it.
func (p *Proc) PIDFD() int { return p.pidfd }

// Signal sends sig by pidfd. If pidfd_send_signal(2) is missing, or an old seccomp
// profile refuses it, Signal uses kill(2). That is as safe for a child that is not
// reaped yet, because its pid cannot belong to another process. A child that has
// ended is no error.
func (p *Proc) Signal(sig syscall.Signal) error {
	err := error(unix.ENOSYS)
	if p.pidfd >= 0 {
		err = sys.PidfdSignal(p.pidfd, sig)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		err = sys.Kill(p.PID, sig)
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// SignalGroup sends sig to the child's process group, which the child leads from
// its fork on. It must be called before the child is reaped.
func (p *Proc) SignalGroup(sig syscall.Signal) error {
	err := sys.Kill(-p.PID, sig)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// SignalRest sends sig to the child's process group by pidfd, also after the child was
// reaped, until Close. The signal 0 only asks whether the group has a member; a zombie
// is one. The error is ESRCH if it has none. Any other error means that we lack the
// permission, or that the kernel cannot do this (before Linux 6.9 it is EINVAL).
func (p *Proc) SignalRest(sig syscall.Signal) error {
	if p.pidfd < 0 {
		return unix.ENOSYS
	}
	return sys.PidfdSignalGroup(p.pidfd, sig)
}

// Close closes the descriptors that mean the child. It does not touch the child.
func (p *Proc) Close() {
	p.release()
	if p.pidfd >= 0 {
		sys.Close(p.pidfd)
		p.pidfd = -1
	}
}
