// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/gateway-init/gateway-init/gatewayctl/inspector"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Controller carries out one command for root. The deadline of the context applies
// to all stages together.
type Controller struct {
	Settings
	Supervisor *Supervisor
	Notes      []string // remarks on missing parts of the result
	Renewed    bool     // the gateway has another token than the previous one

	say       func(stage string)
	stage     string
	inspector *inspector.Inspector
	place     *os.File // root's directory; if nil, why is the reason
	why       error
	token     string // digest of the token of the gateway that was judged last
	since     uint64 // in clock ticks; an older process is not a gateway, but left behind by one
}

// New finds the supervisor and starts an inspector as its user. It calls say at
// each stage. The caller must Close the Controller.
func New(ctx context.Context, s Settings, say func(stage string)) (*Controller, error) {
	c := &Controller{Settings: s, say: say}
	c.enter("proving the supervisor")
	var err error
	if c.Supervisor, err = Find(ctx); err != nil {
		return nil, c.fail(err)
	}
	k := c.Supervisor.Key
	if c.inspector, err = inspector.Start(ctx, k.UIDs[0], k.GIDs[0], nil); err != nil {
		c.Supervisor.Close()
		return nil, c.fail(err)
	}
	return c, nil
}

// Close closes the inspector and the supervisor.
func (c *Controller) Close() {
	c.inspector.Close()
	c.Supervisor.Close()
}

func (c *Controller) enter(stage string) {
	c.stage = stage
	c.say(stage)
}

// fail returns err with the stage and the reason word; nil stays nil.
func (c *Controller) fail(err error) error {
	if err == nil || errors.As(err, new(*Failure)) {
		return err
	}
	return &Failure{c.stage, reasonOf(err), err}
}

func reasonOf(err error) reason.Reason {
	switch {
	case errors.Is(err, ErrIdle):
		return reason.NotRunning
	case errors.Is(err, errHealth):
		return reason.HealthTimeout
	case errors.Is(err, errUnmanagedBeside):
		return reason.ListenerForeign
	case errors.Is(err, errChanged), errors.Is(err, procfs.ErrChanged), errors.Is(err, procfs.ErrGone), errors.Is(err, procfs.ErrReplaced):
		return reason.IdentityChanged
	case errors.Is(err, ErrUnproven), errors.Is(err, ErrOurs), errors.Is(err, procfs.ErrNoPidfd), errors.Is(err, os.ErrPermission):
		return reason.NotPermitted
	}
	return reason.Unproven
}

// tries is how many inspectors get a question, because the agent may end them.
const tries = 3

func (c *Controller) ask(ctx context.Context, q inspector.Question) (a inspector.Answer, err error) {
	for try := 0; ; try++ {
		a, err = c.inspector.Ask(ctx, q)
		if !errors.Is(err, inspector.ErrLost) || ctx.Err() != nil {
			return a, err
		}
		k := c.Supervisor.Key
		again, errStart := inspector.Start(ctx, k.UIDs[0], k.GIDs[0], nil)
		if errStart != nil {
			return a, errStart
		}
		c.inspector.Close()
		c.inspector = again
		if try == tries-1 {
			return a, err
		}
	}
}

// Gateway is the supervisor's gateway. It is proved, and its process is held
// open.
type Gateway struct {
	Key  procfs.Snapshot
	proc *procfs.Handle
}

// Close closes the descriptor of the process.
func (g *Gateway) Close() { g.proc.Close() }

// Gateway calls lookNow, and calls it once more if the first call found none.
func (c *Controller) Gateway(ctx context.Context) (*Gateway, error) {
	g, err := c.lookNow(ctx)
	for i := 1; i < scans && errors.Is(err, ErrIdle); i++ {
		g, err = c.lookNow(ctx)
	}
	return g, err
}

// lookNow proves the supervisor's one gateway. The inspector says which child has
// the token, and this process proves that it is that child. The error is
// ErrAmbiguous if several children have the token, and ErrIdle if no child has it. The
// caller must Close the Gateway.
func (c *Controller) lookNow(ctx context.Context) (*Gateway, error) {
	k := c.Supervisor.Key
	q := inspector.Question{Children: &inspector.Children{
		Of: k.ID(), TokenEnv: c.TokenEnv}}
	a, err := c.ask(ctx, q)
	found := slices.DeleteFunc(a.Processes, func(p procfs.ID) bool { return p.Start < c.since })
	switch {
	case err != nil:
		return nil, err
	case len(found) == 1:
		return c.hold(found[0])
	case len(found) > 1:
		return nil, fmt.Errorf("%w: pid %d and pid %d both look like the gateway", ErrAmbiguous, found[0].PID, found[1].PID)
	}
	if err := c.Supervisor.prove(); err != nil {
		return nil, err
	}
	return nil, ErrIdle
}

// hold opens p and proves that it is a child of the supervisor, of the same
// user.
func (c *Controller) hold(p procfs.ID) (*Gateway, error) {
	proc, k, err := openProcess(p)
	if err != nil {
		return nil, err
	}
	if k.PPID != c.Supervisor.Key.PID || k.UIDs != c.Supervisor.Key.UIDs {
		err = fmt.Errorf("%w: pid %d", errChanged, p.PID)
	}
	if err == nil {
		err = c.Supervisor.prove() // otherwise another process may have the parent's pid
	}
	if err != nil {
		proc.Close()
		return nil, err
	}
	return &Gateway{k, proc}, nil
}

// Judge asks the inspector what PID 1 would check: which process owns the listener,
// and how the gateway answers, both in the gateway's network namespace.
func (c *Controller) Judge(ctx context.Context, g *Gateway, mode proof.Mode) (inspector.Answer, error) {
	job := proof.Job{Mode: mode, Port: c.Port, Check: c.Health, Deadline: c.Health.Timeout}
	if mode == proof.Prove {
		job.Check, job.Auth = c.Ready, c.AuthCheck
	}
	return c.judge(ctx, g, job)
}

func (c *Controller) judge(ctx context.Context, g *Gateway, job proof.Job) (inspector.Answer, error) {
	q := inspector.Question{Judge: &inspector.Judge{Gateway: g.Key.ID(), Job: job, TokenEnv: c.TokenEnv}}
	a, err := c.ask(ctx, q)
	if err == nil && a.Elsewhere {
		a, err = c.otherNetwork(ctx, g, q)
	}
	if err == nil {
		c.token = a.Token
	}
	return a, err
}

// otherNetwork asks q in the gateway's own network namespace.
func (c *Controller) otherNetwork(ctx context.Context, g *Gateway, q inspector.Question) (a inspector.Answer, err error) {
	k := c.Supervisor.Key
	network, err := g.proc.Network()
	if err != nil {
		return a, fmt.Errorf("the gateway has a network namespace of its own, which cannot be opened: %w: that takes CAP_SYS_PTRACE", err)
	}
	defer network.Close()
	there, err := inspector.Start(ctx, k.UIDs[0], k.GIDs[0], network)
	if err != nil {
		return a, err
	}
	defer there.Close()
	a, err = there.Ask(ctx, q)
	if err == nil && a.Elsewhere {
		err = fmt.Errorf("%w: the gateway changes its network namespace", errChanged)
	}
	return a, err
}

// Verdict returns nil if the gateway serves, and otherwise a Failure with the
// reason word.
func (c *Controller) Verdict(a inspector.Answer) error {
	f := &Failure{Stage: c.stage}
	switch {
	case a.Ownership == proof.Missing:
		f.Reason, f.Err = reason.ListenerMissing, fmt.Errorf("no process listens on port %d", c.Port)
	case a.Ownership == proof.Foreign:
		f.Reason, f.Err = reason.ListenerForeign, fmt.Errorf("%s is not the gateway's", a.Foreign[0].Addr)
	case a.Verdict != proof.OK:
		f.Reason, f.Err = a.Verdict.Reason(), fmt.Errorf("%w: %s", errHealth, a.Verdict)
	default:
		return nil
	}
	return f
}

// Prove returns the pid of the gateway if it serves now.
func (c *Controller) Prove(ctx context.Context) (int, error) {
	c.enter("proving the gateway")
	g, err := c.Gateway(ctx)
	if err != nil {
		return 0, c.fail(err)
	}
	defer g.Close()
	pid, err := c.serves(ctx, g, proof.Prove)
	if err != nil {
		return 0, c.fail(err)
	}
	return pid, nil
}

// awaitIdle returns nil if the supervisor has no gateway.
func (c *Controller) awaitIdle(ctx context.Context) error {
	c.enter("proving that there is no gateway")
	g, err := c.Gateway(ctx)
	switch {
	case errors.Is(err, ErrIdle):
		return nil
	case err == nil:
		g.Close()
		err = errStillAlive(g.Key.PID)
	}
	return c.fail(err)
}
