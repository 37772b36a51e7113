package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
)

// program is another program to be run: with nothing of this one's but what is
// written here.
type program struct {
	path string
	args []string // with the name
	env  []string
	attr *syscall.SysProcAttr
}

// maxSaid bounds what is kept of stdout and stderr.
const maxSaid = 64 << 10

// ended is how a program ended.
type ended struct {
	code        int // 128+n for a signal
	out, errOut string
}

// run runs p to its end.
func (p program) run(ctx context.Context) (ended, error) {
	var out said
	e, err := p.stream(ctx, func(r io.Reader) error {
		_, err := io.Copy(&out, r)
		return err
	})
	e.out = string(out)
	return e, err
}

// stream runs p and hands its stdout to read. When read returns, the rest is not
// wanted: the program gets a broken pipe. The error is read's, or that p could
// not be started; how it ended is the caller's to judge.
func (p program) stream(ctx context.Context, read func(io.Reader) error) (e ended, err error) {
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
	proc, err := os.StartProcess(p.path, p.args, &os.ProcAttr{Dir: "/", Env: append([]string{}, p.env...), Files: []*os.File{null, outW, errW}, Sys: p.attr})
	outW.Close()
	errW.Close()
	if err != nil {
		return e, err
	}
	stop := context.AfterFunc(ctx, func() { _ = proc.Kill() }) // it has ended then
	defer stop()
	var complaint said
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
		err = ctx.Err()
	}
	return e, err
}

// said is the beginning of an output; the rest is taken and forgotten, so that
// its writer does not wait for us.
type said []byte

func (s *said) Write(p []byte) (int, error) {
	*s = append(*s, p[:min(len(p), maxSaid-len(*s))]...)
	return len(p), nil
}

// runner runs a program of the image as somebody. refused tells that the kernel
// did not let that user execute it (EACCES). The error is that nothing could be
// tried.
type runner interface {
	run(ctx context.Context, uid, gid uint32, argv ...string) (e ended, refused bool, err error)
}

// chroot runs it in a directory. Of capabilities a root keeps what it has, as a
// build step would; another user has none.
type chroot struct{ dir string }

func (c chroot) run(ctx context.Context, uid, gid uint32, argv ...string) (ended, bool, error) {
	p := program{path: argv[0], args: argv, attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}}
	if c.dir != "/" {
		p.attr.Chroot = c.dir
	}
	e, err := p.run(ctx)
	switch {
	case errors.Is(err, syscall.EACCES):
		return e, true, nil
	case err != nil && (ctx.Err() != nil || errors.Is(err, syscall.EPERM)): // chroot(2), setgroups(2)
		return e, false, fmt.Errorf("cannot become uid %d in %s: %w", uid, c.dir, err)
	case err != nil:
		return ended{code: cannotFind, errOut: err.Error()}, false, nil
	}
	return e, false, nil
}
