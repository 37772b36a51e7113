// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/stepdown"
)

// Inspector is a running inspector.
type Inspector struct {
	process   *stepdown.Process
	questions *os.File
	answers   *os.File
	lines     *bufio.Reader
}

// ErrLost means that the inspector ended or did not answer in time. Any process
// with its uid can cause that.
var ErrLost = errors.New("the inspector is lost")

// maxAnswer bounds a line.
const maxAnswer = 1 << 20

// Start starts an inspector of uid and gid that lives until the context's deadline
// at most. It runs in the network namespace network, or in ours if network is nil.
// The caller must Close the Inspector.
func Start(ctx context.Context, uid, gid uint32, network *os.File) (*Inspector, error) {
	theirIn, questions, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	answers, theirOut, err := os.Pipe()
	if err != nil {
		questions.Close()
		return nil, err
	}
	defer theirOut.Close()
	w := &Inspector{questions: questions, answers: answers, lines: bufio.NewReaderSize(answers, 64<<10)}
	w.process, err = stepdown.Start(ctx, stepdown.Spec{UID: uid, GID: gid, Args: []string{Verb}, Files: [3]*os.File{theirIn, theirOut}, Network: network})
	if err != nil {
		w.closePipes()
		return nil, err
	}
	return w, nil
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
// of an earlier one (a living inspector answers that one at some time), or the end of
// the inspector.
func (w *Inspector) lost(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errors.New("it has not answered an earlier question")
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
