// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// program is another program to be run. It gets nothing from this process but
// these fields.
type program struct {
	path string
	args []string // with the name
	env  []string
	attr *syscall.SysProcAttr
	// files are its descriptors from 3 on.
	files []*os.File
}

// maxOutput bounds the kept output of stdout and stderr.
const maxOutput = 64 << 10

// exitResult is how a program ended.
type exitResult struct {
	code        int // 128+n for a signal
	out, errOut string
}

// run runs p to its end.
func (p program) run(ctx context.Context) (exitResult, error) {
	var out limitedOutput
	e, err := p.stream(ctx, func(r io.Reader) error {
		_, err := io.Copy(&out, r)
		return err
	})
	e.out = string(out)
	return e, err
}

// stream runs p and hands its stdout to read. When read returns, the rest is not
// wanted, and the program gets a broken pipe. The error is read's, or says that
// p could not be started, or is the cause of the end of ctx, at which p is killed.
// The caller judges how p ended.
func (p program) stream(ctx context.Context, read func(io.Reader) error) (e exitResult, err error) {
	if ctx.Err() != nil {
		return e, context.Cause(ctx)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDONLY, 0)
	if err != nil {
		return e, err
	}
	defer null.Close()
	outR, outW, err := os.Pipe()
	if err != nil {
		return e, err
	}
	defer outR.Close()
	errR, errW, err := os.Pipe()
	if err != nil {
		outW.Close()
		return e, err
	}
	defer errR.Close()
	proc, err := os.StartProcess(p.path, p.args, &os.ProcAttr{Dir: "/", Env: append([]string{}, p.env...), Files: append([]*os.File{null, outW, errW}, p.files...), Sys: p.attr})
	outW.Close()
	errW.Close()
	if err != nil {
		return e, err
	}
	stop := context.AfterFunc(ctx, func() { p.kill(proc, outR, errR) })
	defer stop()
	var complaint limitedOutput
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&complaint, errR) }) // a pipe's end is its end
	err = read(outR)
	outR.Close()
	state, waitErr := proc.Wait()
	reading.Wait()
	e.errOut = strings.TrimSpace(string(complaint))
	if waitErr != nil {
		return e, errors.Join(err, waitErr)
	}
	if e.code = state.ExitCode(); e.code < 0 {
		e.code = 128 + int(state.Sys().(syscall.WaitStatus).Signal())
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return e, err
}

// kill ends a program, with its group if it has one of its own, and the reading
// of its output, because a process that left the group may still have the pipes
// open.
func (p program) kill(proc *os.Process, pipes ...*os.File) {
	if p.attr != nil && p.attr.Setsid {
		_ = syscall.Kill(-proc.Pid, syscall.SIGKILL)
	}
	_ = proc.Kill() // an error means that it has ended
	for _, pipe := range pipes {
		_ = pipe.SetReadDeadline(time.Now())
	}
}

// limitedOutput is the beginning of an output. The rest is read and dropped, so that its
// writer does not wait for us.
type limitedOutput []byte

func (s *limitedOutput) Write(p []byte) (int, error) {
	*s = append(*s, p[:min(len(p), maxOutput-len(*s))]...)
	return len(p), nil
}
