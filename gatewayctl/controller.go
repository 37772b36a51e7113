package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"gatewayinit/internal/client"
	"gatewayinit/internal/controller"
	"gatewayinit/internal/status"
	"gatewayinit/internal/witness"
	"gatewayinit/supervisor/control"
	"gatewayinit/supervisor/proof"
)

// lookTimeout bounds one look of a controller's.
const lookTimeout = 10 * time.Second

// controls tells whether we are root beside a supervisor that is not: nothing of
// root's was left by one, and one without root is there, or several that might
// be. A supervisor of root's that has not left anything yet is waited for
// instead, and without it refused.
func (a *app) controls() bool {
	if a.euid != 0 || a.runtimeDir != "" {
		return false
	}
	if a.owner == 0 {
		dir, err := a.openRuntime()
		if err == nil {
			dir.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	s, err := a.find(ctx)
	if err == nil {
		s.Close()
	}
	return !errors.Is(err, controller.ErrNone) && !errors.Is(err, controller.ErrUnproven)
}

// controller is one for a command whose deadline is ctx's.
func (a *app) controller(ctx context.Context, say func(string)) (*controller.Controller, error) {
	c, err := a.config()
	if err != nil {
		return nil, &controller.Failure{Stage: "reading the configuration", Reason: control.UnsafeConfig, Err: err}
	}
	return controller.New(ctx, controller.FromConfig(c), say)
}

// command does as a controller what a request asks for. What only the supervisor
// can do is asked of it as its user, and then proved.
func (a *app) command(ctx context.Context, r control.Request, timeout time.Duration) int {
	name := string(r.Action)
	if r.Rotate || r.Drain > 0 {
		return a.delegate()
	}
	show := a.stages(name)
	c, err := a.controller(ctx, show.stage)
	if err != nil {
		show.done()
		return a.controlFailed(name, err)
	}
	defer c.Close()
	reply := control.Reply{}
	switch r.Action {
	case control.Probe:
		reply.NewPID, err = c.Prove(ctx)
	case control.Recover:
		reply.OldPID, reply.NewPID, err = c.Recover(ctx)
		if err == nil && reply.NewPID == 0 {
			reply = control.Reply{Outcome: control.AlreadyRunning, NewPID: reply.OldPID}
		}
	default:
		reply.OldPID, reply.NewPID, err = c.Restart(ctx)
	}
	show.done()
	for _, note := range c.Notes {
		fmt.Fprintf(a.err, "gatewayctl: note: %s\n", clean(note))
	}
	switch {
	case errors.Is(err, controller.ErrIdle) && r.Action == control.Recover, errors.Is(err, controller.ErrIdle) && r.Action == control.Restart:
		return a.delegate() // there is no process to signal: the supervisor must start one
	case err != nil:
		return a.controlFailed(name, err)
	}
	return a.write(success(r, reply) + "\n")
}

// controlFailed prints where a command came to nothing.
func (a *app) controlFailed(name string, err error) int {
	err = fmt.Errorf("cannot %s: %w", name, err)
	f := (*controller.Failure)(nil)
	switch {
	case errors.Is(err, controller.ErrNone):
		return a.fail(exitNoSupervisor, err, hintNoSupervisor)
	case errors.Is(err, context.DeadlineExceeded):
		return a.fail(exitDeadline, err, "see: gatewayctl status")
	case errors.Is(err, context.Canceled):
		return a.fail(exitFailed, err, "see: gatewayctl status")
	case errors.As(err, &f):
		return a.fail(exitFor(f.Reason), err, adviceFor(f.Reason).next)
	}
	return a.fail(exitFailed, err, "")
}

// delegate runs this very command as the supervisor's user, who may ask it, and
// then proves what came of it: what that user answers could be the agent's.
func (a *app) delegate() int {
	verb := a.args[0]
	ctx, cancel := context.WithTimeout(context.Background(), maxTimeout)
	defer cancel()
	c, err := a.controller(ctx, func(string) {})
	if err != nil {
		return a.controlFailed(verb, err)
	}
	defer c.Close()
	code, err := a.asSupervisor(ctx, c, a.files, a.args...)
	if err != nil {
		return a.fail(exitFailed, fmt.Errorf("cannot %s as the supervisor's user: %w", verb, err), "")
	}
	if code != exitOK {
		return code
	}
	switch verb {
	case "stop":
		err = c.Idle(ctx)
	case "token":
	default:
		_, err = c.Prove(ctx)
	}
	if err != nil {
		return a.controlFailed(verb, fmt.Errorf("it was answered, and is not so: %w", err))
	}
	return exitOK
}

// asSupervisor runs this program with other arguments as the supervisor's user,
// and returns its exit code.
func (a *app) asSupervisor(ctx context.Context, c *controller.Controller, files client.Stdio, args ...string) (int, error) {
	k := c.Supervisor.Key
	argv := append([]string{os.Args[0], asUserArg, decimal(k.UIDs[0]), decimal(k.GIDs[0])}, args...)
	p, err := os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{Env: a.env, Files: []*os.File{files.In, files.Out, files.Err}})
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.Kill() })
	defer stop()
	state, err := p.Wait()
	switch {
	case err != nil:
		return 0, err
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case state.ExitCode() < 0:
		return 0, errors.New("it was ended: " + state.String())
	}
	return state.ExitCode(), nil
}

// recoverAsUser asks the supervisor to start its gateway. What it answers is
// only an answer; the caller proves what came of it.
func (a *app) recoverAsUser(ctx context.Context, c *controller.Controller) error {
	deadline, _ := ctx.Deadline()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	code, err := a.asSupervisor(ctx, c, client.Stdio{In: null, Out: null, Err: a.files.Err},
		"recover", "--timeout", max(time.Until(deadline), time.Millisecond).String())
	if err == nil && code != exitOK {
		err = fmt.Errorf("recover ended with %d", code)
	}
	return err
}

// asUserArg is the first argument of this program where root delegates.
const asUserArg = "as-user"

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

// lookAsController is a look without any record: all in it was found out now.
func (a *app) lookAsController() view {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	c, err := a.controller(ctx, func(string) {})
	if err != nil {
		v := view{verdict: controlVerdict(err)}
		if errors.Is(err, controller.ErrNone) {
			v.topology = controller.None
		}
		return v
	}
	defer c.Close()
	k := c.Supervisor.Key
	v := view{topology: c.Supervisor.Topology, port: c.Port, checks: checks{
		held(checkSupervisor, "pid %d, child of pid %d, has gateway-init's shape; who started it cannot be proved", k.PID, k.PPID),
		{name: checkControl, result: status.NotAvailable, detail: fmt.Sprintf("the request FIFO is uid %d's", k.UIDs[0])},
	}}
	g, err := c.Gateway(ctx)
	if err != nil {
		v.verdict = controlVerdict(err)
		if !errors.Is(err, controller.ErrIdle) {
			v.checks = append(v.checks, unavailable(checkGateway, err))
		}
		return v
	}
	defer g.Close()
	v.pid = g.Key.PID
	v.checks = append(v.checks, held(checkGateway, "pid %d, child of pid %d, has the token", g.Key.PID, g.Key.PPID),
		held(checkGatewayUID, "all four are %d, the agent's too", g.Key.UIDs[0]))
	answer, err := c.Judge(ctx, g, false)
	if err != nil {
		v.checks = append(v.checks, unavailable(checkListener, err))
		v.verdict = notServing(control.Unproven, err.Error())
		return v
	}
	v.checks = append(v.checks, listenerOf(answer, c.Port))
	if err := c.Verdict(answer); err != nil {
		v.verdict = controlVerdict(err)
		return v
	}
	v.verdict = verdict{serving: true, code: exitOK, hint: "nothing to do"}
	return v
}

func listenerOf(a witness.Answer, port uint16) check {
	switch a.Ownership {
	case proof.Missing:
		return failed(checkListener, control.ListenerMissing, "nobody listens on port %d", port)
	case proof.Foreign:
		return failed(checkListener, control.ListenerForeign, "%s", names(a.Foreign))
	}
	return held(checkListener, "port %d is open in the gateway's process", port)
}

// controlVerdict is what an error of a controller's look means.
func controlVerdict(err error) verdict {
	f := (*controller.Failure)(nil)
	switch {
	case errors.Is(err, controller.ErrNone):
		return verdict{code: exitNoSupervisor, reason: wordNoSupervisor, detail: err.Error(), hint: hintNoSupervisor}
	case errors.Is(err, controller.ErrIdle):
		return notServing(control.NotRunning, err.Error())
	case errors.As(err, &f):
		return notServing(f.Reason, f.Err.Error())
	}
	return notServing(control.Unproven, err.Error())
}
