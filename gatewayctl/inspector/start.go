// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Inspector is a running inspector.
type Inspector struct {
	process   *os.Process
	questions *os.File
	answers   *os.File
	lines     *bufio.Reader
	stderr    chan string // the text that it wrote to stderr, once it has ended
}

// ErrLost means that the inspector ended or did not answer in time. Any process
// with its uid can cause that.
var ErrLost = errors.New("the inspector is lost")

// stepDownCaps are the capabilities that are needed to become another user.
const stepDownCaps = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID

// maxAnswer bounds a line; maxStderr bounds the text that it writes to stderr.
const (
	maxAnswer = 1 << 20
	maxStderr = 1 << 10
)

// Start starts an inspector of uid and gid that lives until the context's deadline
// at most. It runs in the network namespace network, or in ours if network is nil;
// to enter another one takes CAP_SYS_ADMIN. The caller must Close the Inspector.
func Start(ctx context.Context, uid, gid uint32, network *os.File) (*Inspector, error) {
	if permitted, err := sys.Permitted(); err == nil && (uid != uint32(os.Getuid()) || gid != uint32(os.Getgid())) &&
		permitted&stepDownCaps != stepDownCaps {
		return nil, fmt.Errorf("cannot become uid %d to look at its processes: %w: the exec needs SETUID and SETGID", uid, fs.ErrPermission)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("an inspector needs a deadline")
	}
	w := &Inspector{stderr: make(chan string, 1)}
	theirIn, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	w.questions = ours
	var theirOut, theirErr, saying *os.File
	if w.answers, theirOut, err = os.Pipe(); err != nil {
		ours.Close()
		return nil, err
	}
	defer theirOut.Close()
	if saying, theirErr, err = os.Pipe(); err != nil {
		w.closePipes()
		return nil, err
	}
	defer theirErr.Close()
	w.lines = bufio.NewReaderSize(w.answers, 64<<10)
	argv := []string{os.Args[0], Arg, decimal(uid), decimal(gid), time.Until(deadline).String()}
	if w.process, err = startIn(network, argv, []*os.File{theirIn, theirOut, theirErr}); err != nil {
		w.closePipes()
		saying.Close()
		return nil, err
	}
	go func() {
		defer saying.Close()
		text, _ := io.ReadAll(io.LimitReader(saying, maxStderr))
		w.stderr <- string(text)
		close(w.stderr) // a later read returns "" at once
	}()
	return w, nil
}

func decimal(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

// startIn starts our program again. The new process ends with its input, or at the
// end of its lifetime. The change of uid would clear a parent-death signal
// (prctl(2)).
func startIn(network *os.File, argv []string, files []*os.File) (p *os.Process, err error) {
	start := func() {
		p, err = os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{Dir: "/", Env: []string{}, Files: files})
	}
	if network == nil {
		start()
	} else if errNet := inNetwork(network, start); errNet != nil {
		return nil, fmt.Errorf("cannot enter the gateway's network namespace: %w: that takes CAP_SYS_ADMIN", errNet)
	}
	if err == nil {
		go p.Wait() // to reap it; its exit code says nothing more
	}
	return p, err
}

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

// Ask asks one question. If the inspector could not find out the answer, Ask
// returns an error.
func (w *Inspector) Ask(ctx context.Context, q Question) (a Answer, err error) {
	stop := context.AfterFunc(ctx, func() { w.answers.SetReadDeadline(time.Now()) })
	defer stop()
	if err := json.NewEncoder(w.questions).Encode(q); err != nil {
		return a, w.lost(ctx, err)
	}
	line, err := w.line()
	if err != nil {
		return a, w.lost(ctx, err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return Answer{}, w.lost(ctx, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (w *Inspector) line() (line []byte, err error) {
	for {
		part, err := w.lines.ReadSlice('\n')
		if line = append(line, part...); !errors.Is(err, bufio.ErrBufferFull) || len(line) > maxAnswer {
			return line, err
		}
	}
}

// lost returns why no answer came. The reason is the deadline of this question or
// of an earlier one (a living inspector answers that one at some time), or the text
// that the inspector wrote at its end.
func (w *Inspector) lost(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrLost, ctx.Err())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: it has not answered an earlier question", ErrLost)
	}
	select {
	case text := <-w.stderr:
		if text != "" {
			return fmt.Errorf("%w: %s", ErrLost, text)
		}
	case <-ctx.Done():
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// Close kills the inspector and closes its pipes.
func (w *Inspector) Close() {
	_ = w.process.Kill() // it may have ended
	w.closePipes()
}

func (w *Inspector) closePipes() {
	w.questions.Close()
	w.answers.Close()
}
