package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"gatewayinit/gatewayctl/client"
	"gatewayinit/gatewayctl/controller"
	"gatewayinit/gatewayctl/witness"
	"gatewayinit/supervisor/control"
)

// asUserArg is the first argument of this program where root has it step down.
const asUserArg = "as-user"

// exitCode is that of this program as another user, if it is not 0: it has said
// why itself.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("it ended with %d", int(c)) }

// asSupervisor puts a request as the supervisor's user. That it succeeded is
// only an answer, so what it prints then is not shown.
func (a *app) asSupervisor(ctx context.Context, c *controller.Controller, r control.Request) error {
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
	if left <= drain { // others were at work
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

// tokenAsSupervisor prints the token as that user reads it: nothing of it is
// proved.
func (a *app) tokenAsSupervisor() int {
	ctx, cancel := interruptible()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c, err := a.controller(ctx, func(string) {})
	if err == nil {
		defer c.Close()
		err = a.stepDownAndRun(ctx, c, a.files, a.args)
	}
	if err != nil {
		return a.controlFailed("read the token", err)
	}
	return exitOK
}

// stepDownAndRun runs this program with other arguments as the supervisor's
// user, who may end or stop it: at the end of ctx it is killed, and not waited
// for where CAP_KILL is missing for that.
func (a *app) stepDownAndRun(ctx context.Context, c *controller.Controller, files client.Stdio, args []string) error {
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

// awaitEnd waits for p, which is killed at the end of ctx.
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

// asUser becomes the user that the arguments name, if they do.
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
	return args[3:], witness.StepDown(id[0], id[1])
}

// bearWitness is this program as a witness.
func bearWitness(args []string) int {
	if err := witness.Main(args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		return exitFailed
	}
	return exitOK
}

func decimal(id uint32) string { return strconv.FormatUint(uint64(id), 10) }
