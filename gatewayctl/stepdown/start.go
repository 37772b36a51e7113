// SPDX-License-Identifier: Apache-2.0

package stepdown

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// caps are the capabilities that are needed to become another user.
const caps = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID

// slack is how long a process lives beyond its caller's deadline, so that its caller
// ends it and it does not end itself.
const slack = time.Second

// Spec says how to start a process of another user.
type Spec struct {
	UID, GID uint32
	Args     []string    // of the program as that user
	Env      []string    // nil for an empty one
	Files    [3]*os.File // its descriptors 0 to 2; nil for /dev/null
	Network  *os.File    // the network namespace; nil for ours. To enter another one takes CAP_SYS_ADMIN
}

// Process is a process of another user.
type Process struct {
	process *os.Process
	ended   chan struct{}
	state   *os.ProcessState // valid after ended
	err     error
}

// Start starts our program as another user. The process lives until the deadline of
// ctx at most. The change of uid would clear a parent-death signal (prctl(2)), so a
// process whose caller has ended ends with its input or after its lifetime.
func Start(ctx context.Context, s Spec) (*Process, error) {
	if permitted, err := sys.Permitted(); err == nil && (s.UID != uint32(os.Getuid()) || s.GID != uint32(os.Getgid())) && permitted&caps != caps {
		return nil, fmt.Errorf("cannot become uid %d to look at its processes: %w: the exec needs SETUID and SETGID", s.UID, fs.ErrPermission)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("a process of another user needs a deadline")
	}
	argv := append([]string{os.Args[0], Arg, decimal(s.UID), decimal(s.GID), (time.Until(deadline) + slack).String()}, s.Args...)
	p, err := &Process{ended: make(chan struct{})}, error(nil)
	start := func() {
		p.process, err = os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{
			Dir: "/", Env: append([]string{}, s.Env...), Files: s.Files[:]}) // the runtime opens /dev/null for a closed one
	}
	if s.Network == nil {
		start()
	} else if errNet := inNetwork(s.Network, start); errNet != nil {
		return nil, fmt.Errorf("cannot enter the gateway's network namespace: %w: that takes CAP_SYS_ADMIN", errNet)
	}
	if err != nil {
		return nil, err
	}
	p.reap()
	return p, nil
}

// reap waits for the process in the background.
func (p *Process) reap() {
	go func() {
		p.state, p.err = p.process.Wait()
		close(p.ended)
	}()
}

func decimal(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

// inNetwork calls f on a thread in another network namespace, because a child has
// the namespace of the thread that forks. The thread ends with the call.
func inNetwork(network *os.File, f func()) error {
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // it is never unlocked
		err := sys.EnterNetwork(network)
		if err == nil {
			f()
		}
		entered <- err
	}()
	return <-entered
}

// Kill kills the process. The error is nil if it has ended already.
func (p *Process) Kill() error {
	if err := p.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// ExitError is the exit code of a process, if it is not 0. The process has already
// printed the reason.
type ExitError int

func (e ExitError) Error() string { return fmt.Sprintf("it ended with %d", int(e)) }

// Await waits for the end of the process. The error is an ExitError if its exit code is
// not 0. The user of the process may end or stop it. When ctx ends, the process is
// killed. Without CAP_KILL that is impossible, and the process is not waited for.
func (p *Process) Await(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		if p.Kill() != nil {
			return ctx.Err()
		}
		<-p.ended
	}
	switch {
	case p.err != nil:
		return p.err
	case p.state.Success():
		return nil
	case p.state.Exited():
		return ExitError(p.state.ExitCode())
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return errors.New("it was ended: " + p.state.String())
}

// PID returns the pid of the process.
func (p *Process) PID() int { return p.process.Pid }
