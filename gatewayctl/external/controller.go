// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/gateway-init/gateway-init/gatewayctl/inspector"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Controller carries out one command for root. The deadline of the context applies
// to all stages together.
type Controller struct {
	config.Gateway
	Supervisor *Supervisor

	stages
	sidecars  []config.Sidecar
	inspector *inspector.Inspector
	caller    Caller
	request   func(context.Context, control.Request) error // asks the supervisor, as its user
	result    Result
	place     *os.File // root's directory; if nil, why is the reason
	why       error
	token     string // digest of the token of the gateway that was judged last
	since     uint64 // in clock ticks; an older process is not a gateway, but left behind by one
}

// New finds the supervisor and starts an inspector as its user. It calls say at
// each stage. caller is for the processes of that user. The Controller must be closed.
func New(ctx context.Context, cfg *config.Config, caller Caller, say func(stage string)) (*Controller, error) {
	c := &Controller{Gateway: cfg.Gateway, sidecars: cfg.Sidecars, caller: caller, stages: stages{say: say}}
	c.request = func(ctx context.Context, r control.Request) error { return caller.request(ctx, c.Supervisor, r) }
	c.enter("proving the supervisor")
	var err error
	if c.Supervisor, err = Find(ctx); err != nil {
		return nil, c.fail(err)
	}
	if c.inspector, err = c.newInspector(ctx, nil); err != nil {
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

func (c *Controller) newInspector(ctx context.Context, network *os.File) (*inspector.Inspector, error) {
	return inspector.Start(ctx, c.Supervisor.UIDs[0], c.Supervisor.GIDs[0], network)
}

// tries is how many inspectors get a question, because the agent may end them.
const tries = 3

func (c *Controller) ask(ctx context.Context, q inspector.Question) (a inspector.Answer, err error) {
	for try := 0; ; try++ {
		a, err = c.inspector.Ask(ctx, q)
		if !errors.Is(err, inspector.ErrLost) || ctx.Err() != nil {
			return a, err
		}
		again, errStart := c.newInspector(ctx, nil)
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

// FindGateway calls lookNow, and calls it once more if the first call found none.
func (c *Controller) FindGateway(ctx context.Context) (*procfs.Held, error) {
	g, err := c.lookNow(ctx)
	for i := 1; i < scans && errors.Is(err, ErrIdle); i++ {
		g, err = c.lookNow(ctx)
	}
	return g, err
}

// lookNow proves the supervisor's one gateway. The inspector says which child has
// the token, and this process proves that it is that child. The error is
// ErrAmbiguous if several children have the token, and ErrIdle if no child has it. The
// caller must Close the gateway.
func (c *Controller) lookNow(ctx context.Context) (*procfs.Held, error) {
	a, err := c.ask(ctx, inspector.Question{Children: &inspector.Children{Of: c.Supervisor.ID(), TokenEnv: c.TokenEnv}})
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
func (c *Controller) hold(p procfs.ID) (*procfs.Held, error) {
	g, err := p.Hold()
	if err != nil {
		return nil, err
	}
	if g.PPID != c.Supervisor.PID || g.UIDs != c.Supervisor.UIDs {
		err = fmt.Errorf("%w: pid %d", errChanged, p.PID)
	}
	if err == nil {
		err = c.Supervisor.prove() // otherwise another process may have the parent's pid
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// Judge asks the inspector what PID 1 would check: which process owns the listener,
// and how the gateway answers, both in the gateway's network namespace.
func (c *Controller) Judge(ctx context.Context, g *procfs.Held, mode proof.Mode) (inspector.Answer, error) {
	job := proof.Job{Mode: mode, Port: c.Port, Check: c.Health, Deadline: c.Health.Timeout}
	if mode == proof.Prove {
		job.Check, job.Auth = c.Ready, c.AuthCheck
	}
	return c.judge(ctx, g, job)
}

// judgeListeners is Judge without a request to the gateway.
func (c *Controller) judgeListeners(ctx context.Context, g *procfs.Held) (inspector.Answer, error) {
	return c.judge(ctx, g, proof.Job{Mode: proof.Health, Port: c.Port})
}

func (c *Controller) judge(ctx context.Context, g *procfs.Held, job proof.Job) (inspector.Answer, error) {
	q := inspector.Question{Judge: &inspector.Judge{Gateway: g.ID(), Job: job, TokenEnv: c.TokenEnv}}
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
func (c *Controller) otherNetwork(ctx context.Context, g *procfs.Held, q inspector.Question) (a inspector.Answer, err error) {
	network, err := g.Network()
	if err != nil {
		return a, fmt.Errorf("the gateway has a network namespace of its own, which cannot be opened: %w: that takes CAP_SYS_PTRACE", err)
	}
	defer network.Close()
	there, err := c.newInspector(ctx, network)
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

// verdict returns nil if the gateway serves on the port, and otherwise a Failure with
// the reason word.
func (s *stages) verdict(port uint16, a inspector.Answer) error {
	f := &Failure{Stage: s.stage}
	switch {
	case a.Ownership == proof.Missing:
		f.Reason, f.Err = reason.ListenerMissing, fmt.Errorf("no process listens on port %d", port)
	case a.Ownership == proof.Foreign:
		f.Reason, f.Err = reason.ListenerForeign, fmt.Errorf("%s is not the gateway's", a.Foreign[0].Addr)
	case a.Verdict != proof.OK:
		f.Reason, f.Err = a.Verdict.Reason(), fmt.Errorf("%w: %s", errHealth, a.Verdict)
	default:
		return nil
	}
	return f
}

// Verdict returns nil if the gateway serves, and otherwise a Failure.
func (c *Controller) Verdict(a inspector.Answer) error { return c.verdict(c.Port, a) }

// serves returns nil if g serves now, and if g and the supervisor are still the
// processes that were proved.
func (c *Controller) serves(ctx context.Context, g *procfs.Held, mode proof.Mode) error {
	a, err := c.Judge(ctx, g, mode)
	if err == nil {
		err = c.Verdict(a)
	}
	if err == nil {
		err = c.Supervisor.prove()
	}
	if err == nil {
		err = g.Verify()
	}
	return err
}
