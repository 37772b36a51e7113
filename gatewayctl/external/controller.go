// SPDX-License-Identifier: Apache-2.0

package external

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Controller carries out one command for root. The deadline of the context applies
// to all stages together.
type Controller struct {
	config.Gateway
	Supervisor *Supervisor
	Request    func(context.Context, control.Request) error // asks the supervisor, as its user

	stages
	sidecars []config.Sidecar
	result   Result
	place    *os.File // root's directory; if nil, why is the reason
	why      error
	token    string // digest of the token of the gateway that was found last
	since    uint64 // in clock ticks; an older process is not a gateway, but left behind by one
}

// New finds the supervisor. The Controller calls say at each stage. The caller sets
// Request, and must Close the Supervisor.
func New(ctx context.Context, cfg *config.Config, say func(stage string)) (*Controller, error) {
	c := &Controller{Gateway: cfg.Gateway, sidecars: cfg.Sidecars, stages: stages{say: say}}
	c.enter("proving the supervisor")
	var err error
	c.Supervisor, err = Find(ctx)
	return c, c.fail(err)
}

// FindGateway proves the supervisor's one gateway. The error is ErrAmbiguous if there are
// several, and ErrIdle if two looks find none. A child that executes another program
// meanwhile is worth a second look, too. The caller must Close the gateway.
func (c *Controller) FindGateway(ctx context.Context) (g *procfs.Held, err error) {
	for i := 0; i == 0 || i < scans && (errors.Is(err, ErrIdle) || errors.Is(err, procfs.ErrChanged)); i++ {
		g, err = c.lookNow(ctx)
	}
	return g, err
}

// errHeadless means that a child may be the gateway, although the kernel shows nothing of it.
var errHeadless = errors.New("its first thread has ended and the others live on, so that nothing of it can be seen")

// lookNow is one look of FindGateway at all children of the supervisor.
func (c *Controller) lookNow(ctx context.Context) (*procfs.Held, error) {
	pids, err := procfs.Children(c.Supervisor.PID, maxChildren)
	if err != nil {
		return nil, err
	}
	none := ErrIdle
	g, err := onlyOne(pids, "the gateway", func(pid int) (*procfs.Held, error) {
		p, err := c.candidate(ctx, pid)
		switch {
		case errors.Is(err, errHeadless):
			none = fmt.Errorf("process %d may be the gateway: %w", pid, err)
			err = nil
		case procfs.IsGone(err), errors.Is(err, fsafe.ErrTooLarge): // no supervisor starts a gateway like that
			err = nil
		case err != nil:
			err = fmt.Errorf("cannot look at process %d: %w", pid, err)
		}
		return p, err
	})
	if err != nil {
		return nil, err
	}
	err = c.Supervisor.prove() // otherwise another process may have the parent's pid
	switch {
	case g == nil:
		return nil, cmp.Or(err, none)
	case err != nil:
		g.Close()
		return nil, err
	}
	return g, nil
}

// candidate holds pid if it has the shape of a gateway (docs/controller.md), and otherwise
// returns nil. A gateway can change its title and its arguments, so these say nothing.
func (c *Controller) candidate(ctx context.Context, pid int) (*procfs.Held, error) {
	session, err := sys.Session(pid) // a cheap look first, because there may be thousands of orphans
	if err != nil || session != pid {
		return nil, err
	}
	p, err := procfs.Hold(pid)
	if err != nil {
		return nil, err
	}
	env, err := c.Supervisor.user().environ(ctx, p)
	value, token := valueOf(env, c.TokenEnv)
	_, sidecar := valueOf(env, config.SidecarEnv)
	digest := fmt.Sprintf("%x", sha256.Sum256(value))
	clear(env)
	ours := p.PPID == c.Supervisor.PID && p.Session == p.PID && p.UIDs == c.Supervisor.UIDs
	if err == nil && ours && token && !sidecar && p.Start >= c.since {
		c.token = digest
		return p, nil
	}
	if err == nil && ours && len(env) == 0 && p.Headless() {
		err = errHeadless
	}
	p.Close()
	return nil, err
}

// Judge finds out what PID 1 would check: which process owns the listener, and how the
// gateway answers, both in the gateway's network namespace.
func (c *Controller) Judge(ctx context.Context, g *procfs.Held, mode proof.Mode) (Judgment, error) {
	job := proof.Job{Mode: mode, Port: c.Port, Check: c.Health, Deadline: c.Health.Timeout}
	if mode == proof.Prove {
		job.Check, job.Auth = c.Ready, c.AuthCheck
	}
	return c.Supervisor.user().judge(ctx, g, job, c.TokenEnv)
}

// missing returns the error of a gateway that does not listen.
func (a Judgment) missing() error {
	if a.Port == 0 {
		return errors.New("the gateway listens on no port")
	}
	return fmt.Errorf("no process listens on port %d", a.Port)
}

// verdict returns nil if the gateway serves on its port, and otherwise a Failure with
// the reason word.
func (s *stages) verdict(a Judgment) error {
	f := &Failure{Stage: s.stage}
	switch {
	case a.Ownership == proof.Missing:
		f.Reason, f.Err = reason.ListenerMissing, a.missing()
	case a.Ownership == proof.Foreign:
		f.Reason, f.Err = reason.ListenerForeign, fmt.Errorf("%s is not the gateway's", a.Foreign[0].Addr)
	case a.Verdict != proof.OK:
		f.Reason, f.Err = a.Verdict.Reason(), fmt.Errorf("does not serve: %s", a.Verdict)
	default:
		return nil
	}
	return f
}

// Verdict returns nil if the gateway serves, and otherwise a Failure.
func (c *Controller) Verdict(a Judgment) error { return c.verdict(a) }

// serves returns nil if g serves now, and g and the supervisor are the same processes.
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
