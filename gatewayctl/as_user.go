// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/inspector"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// asUserArg is the first argument of this program when root has it step down.
const asUserArg = "as-user"

// exitCode is the exit code, if it is not 0, of this program as another user.
// That process has already printed the reason.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("it ended with %d", int(c)) }

// asSupervisor sends a request as the supervisor's user. Success is only the
// supervisor's answer, so its output is not shown.
func (a *app) asSupervisor(ctx context.Context, c *external.Controller, r control.Request) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	deadline, ok := ctx.Deadline()
	if !ok {
		return errors.New("a request needs a deadline")
	}
	left, drain := time.Until(deadline), time.Duration(r.Drain)*time.Second
	if left <= drain { // other commands took the time
		return fmt.Errorf("%w: %v is left, and the drain may take %v", context.DeadlineExceeded, max(left, 0).Round(time.Millisecond), drain)
	}
	args := []string{string(r.Action), "--timeout", left.String()}
	if r.Rotate {
		args = append(args, "--rotate-token")
	}
	if r.Drain > 0 {
		args = append(args, "--drain", drain.String())
	}
	return a.stepDownAndRun(ctx, c, client.Stdio{In: null, Out: null, Err: a.files.Err}, args)
}

// tokenAsSupervisor prints the token that the supervisor's user reads. Nothing
// about that token is proved.
func (a *app) tokenAsSupervisor() int {
	ctx, cancel := interruptibleContext()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c, err := a.controller(ctx, func(string) {})
	if err == nil {
		defer c.Close()
		err = a.stepDownAndRun(ctx, c, a.files, a.args)
	}
	if err != nil {
		return a.externalFailed("read the token", err)
	}
	return exitOK
}

// stepDownAndRun runs this program with other arguments as the supervisor's user.
// That user may end or stop the process. When ctx ends, the process is killed.
// Without CAP_KILL that is impossible, and the process is not waited for.
func (a *app) stepDownAndRun(ctx context.Context, c *external.Controller, files client.Stdio, args []string) error {
	k := c.Supervisor.Key
	argv := append([]string{os.Args[0], asUserArg, decimal(k.UIDs[0]), decimal(k.GIDs[0])}, args...)
	p, err := os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{Env: a.env, Files: []*os.File{files.In, files.Out, files.Err}})
	if err != nil {
		return err
	}
	state, err := awaitEnd(ctx, p)
	switch {
	case err != nil:
		return err
	case state.Success():
		return nil
	case state.Exited():
		return exitCode(state.ExitCode())
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return errors.New("it was ended: " + state.String())
}

// awaitEnd waits for p and kills it when ctx ends.
func awaitEnd(ctx context.Context, p *os.Process) (*os.ProcessState, error) {
	type end struct {
		state *os.ProcessState
		err   error
	}
	ended := make(chan end, 1)
	go func() {
		state, err := p.Wait()
		ended <- end{state, err}
	}()
	select {
	case e := <-ended:
		return e.state, e.err
	case <-ctx.Done():
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, ctx.Err()
	}
	e := <-ended
	return e.state, e.err
}

// asUser switches to the user that the arguments name, if they name one, and
// returns the remaining arguments.
func asUser(args []string) ([]string, error) {
	if len(args) < 3 || args[0] != asUserArg {
		return args, nil
	}
	var id [2]uint32
	for i := range id {
		n, err := strconv.ParseUint(args[1+i], 10, 31)
		if err != nil {
			return nil, err
		}
		id[i] = uint32(n)
	}
	return args[3:], inspector.StepDown(id[0], id[1])
}

// runInspector runs this program as an inspector and returns the exit code.
func runInspector(args []string) int {
	if err := inspector.Main(args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		return exitFailed
	}
	return exitOK
}

func decimal(id uint32) string { return strconv.FormatUint(uint64(id), 10) }
