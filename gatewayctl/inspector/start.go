// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"cmp"
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
	decoder   *json.Decoder // of answers. After a deadline it gives the same error again
}

// ErrLost means that the inspector ended or did not answer in time. Any process
// with its uid can cause that.
var ErrLost = errors.New("the inspector is lost")

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
	p, err := stepdown.Start(ctx, stepdown.Spec{UID: uid, GID: gid, Args: []string{Verb}, Files: [3]*os.File{theirIn, theirOut}, Network: network})
	if err != nil {
		questions.Close()
		answers.Close()
		return nil, err
	}
	return &Inspector{p, questions, answers, json.NewDecoder(answers)}, nil
}

// Ask asks one question. If the inspector could not find out the answer, Ask
// returns an error.
func (w *Inspector) Ask(ctx context.Context, q Question) (a Answer, err error) {
	stop := context.AfterFunc(ctx, func() { w.answers.SetReadDeadline(time.Now()) })
	defer stop()
	if err = json.NewEncoder(w.questions).Encode(q); err == nil {
		err = w.decoder.Decode(&a)
	}
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("%w: %w", ErrLost, cmp.Or(ctx.Err(), err))
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Close kills the inspector and closes its pipes.
func (w *Inspector) Close() {
	_ = w.process.Kill() // without CAP_KILL it ends with its input
	w.questions.Close()
	w.answers.Close()
}
