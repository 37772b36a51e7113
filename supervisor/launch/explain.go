// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/program"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// explain adds to a Failure what its step and errno do not say. It is PID 1's own
// knowledge, because a re-exec child answers with words of a closed set only.
func (c Child) explain(err error) error {
	var f *Failure
	if !errors.As(err, &f) {
		return err
	}
	why := ""
	switch {
	case f.Step == StepDir:
		why = fmt.Sprintf("uid %d cannot have the working directory %q", c.UID, c.Spec.Dir)
	case f.Step == StepConfine && c.holding.err != nil:
		why = c.holding.err.Error()
	case f.Step == StepConfine:
		why = "the rule of gateway.confine cannot be put into force"
	case f.Step == StepExec && f.Errno == syscall.E2BIG:
		why = sys.ExecSize(c.Spec.Argv, c.Spec.Env)
	case f.Step == StepExec:
		why = c.Spec.explainProgram(f.Errno)
	}
	if why == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, why)
}

// explainProgram says why the kernel did not execute the program. It takes text only
// from files of root, because an agent may have written another one.
func (s Spec) explainProgram(errno syscall.Errno) string {
	file, err := sys.LookPath(s.Argv[0], s.Env)
	if err == nil && !strings.HasPrefix(file, "/") {
		file = path.Join(s.Dir, file)
	}
	why := ""
	if err == nil {
		why = program.Explain(file, errno, true)
	}
	if why == "" && errno == syscall.ENOENT {
		why = program.Missing(s.Argv[0])
		switch {
		case why != "":
		case strings.Contains(s.Argv[0], "/"):
			why = "the program or its interpreter is missing: put it into the image, or name another"
		default:
			why = "no directory of PATH has it: put it into the image, or write its absolute path"
		}
	}
	return why
}
