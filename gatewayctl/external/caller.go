// SPDX-License-Identifier: Apache-2.0

package external

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/stepdown"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// Caller is what the program passes on when it runs as the supervisor's user.
type Caller struct {
	Env []string // the supervisor's files are found by it
	Err *os.File // where the program prints its errors
}

// request sends a request as the supervisor's user. Success is only the supervisor's
// answer, so its output is not shown.
func (c Caller) request(ctx context.Context, s *Supervisor, r control.Request) error {
	args := []string{string(r.Action)}
	if r.Rotate {
		args = append(args, "--rotate-token")
	}
	drain := time.Duration(r.Drain) * time.Second
	if r.Drain > 0 {
		args = append(args, "--drain", drain.String())
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left <= drain { // other commands took the time
			return fmt.Errorf("%w: %v is left, and the drain may take %v", context.DeadlineExceeded, max(left, 0).Round(time.Millisecond), drain)
		}
		// It ends a little earlier, so that it can say what became of the request.
		if margin := 500 * time.Millisecond; left > drain+4*margin {
			left -= margin
		}
		args = append(args, "--timeout", left.String())
	}
	return c.run(ctx, s, nil, args)
}

// run runs this program as the supervisor's user.
func (c Caller) run(ctx context.Context, s *Supervisor, out *os.File, args []string) error {
	p, err := stepdown.Start(ctx, stepdown.Spec{UID: s.UIDs[0], GID: s.GIDs[0], Args: args, Env: c.Env, Files: [3]*os.File{nil, out, c.Err}})
	if err != nil {
		return err
	}
	return p.Await(ctx)
}

// Token returns the token that the supervisor's user reads. Nothing about it is proved.
func (c *Controller) Token(ctx context.Context) (*tokenfile.Secret, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	err = c.caller.run(ctx, c.Supervisor, w, []string{"token"})
	w.Close()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, tokenfile.Len+2)) // with the end of the line, and one byte too many
	if err != nil {
		return nil, err
	}
	return tokenfile.Parse(bytes.TrimSuffix(text, []byte{'\n'}), "its output")
}
