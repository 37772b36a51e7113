// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// explain adds to a Failure what its step and errno do not say. It is PID 1's own
// knowledge, because a re-exec child answers with words of a closed set only.
func (c Child) explain(err error) error {
	var f *Failure
	if !errors.As(err, &f) {
		return err
	}
	if f.Step == StepExec && f.Errno == syscall.E2BIG {
		return fmt.Errorf("%w: %s", err, sys.ExecSize(c.Spec.Argv, c.Spec.Env))
	}
	return err
}
