package controller

import (
	"context"
	"fmt"
	"time"

	"gatewayinit/gatewayctl/witness"
	"gatewayinit/internal/sys"
	"gatewayinit/internal/trust"
	"gatewayinit/supervisor/control"
	"gatewayinit/supervisor/proof"
)

// As PID 1 does it: one slow answer is not enough to replace a gateway.
const (
	recoverTries = 4
	recoverPause = 100 * time.Millisecond // doubles
)

// Recover leaves a gateway alone that serves, waits for one that is starting, and
// replaces one that definitely does not serve, several times in a row. started is
// 0 where nothing had to be done.
func (c *Controller) Recover(ctx context.Context) (old, started int, err error) {
	err = c.inTurn(ctx, func(g *Gateway) error {
		old = g.Key.PID
		lost, err := c.lost(ctx, g)
		if lost {
			old, started, err = c.replace(ctx, g)
		}
		return err
	})
	return old, started, err
}

// lost tells whether g definitely does not serve and has had its time to start;
// else the error says why it does not.
func (c *Controller) lost(ctx context.Context, g *Gateway) (bool, error) {
	pause, why := recoverPause, error(nil)
	for tries := 1; ; {
		c.enter("proving the gateway")
		a, err := c.Judge(ctx, g, proof.Prove)
		if err != nil && ctx.Err() != nil && why != nil { // cut short: what it lacked before says more
			err = fmt.Errorf("%w: %w", ctx.Err(), why)
		}
		if err != nil {
			return false, err
		}
		why = c.Verdict(a)
		if why == nil || !definite(a) { // what nobody can judge a restart would not cure
			return false, why
		}
		switch {
		case c.starting(g):
			c.enter(fmt.Sprintf("giving pid %d its time to start", g.Key.PID))
			tries = 0
		case tries == recoverTries:
			return true, nil
		}
		tries++
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false, fmt.Errorf("%w: %w", ctx.Err(), why)
		}
		pause = min(2*pause, time.Second)
	}
}

// definite: it does not serve beyond doubt. A foreign listener is a doubt: the
// agent must not be able to have a healthy gateway ended.
func definite(a witness.Answer) bool {
	return a.Ownership != proof.Foreign && a.Verdict.Definite()
}

// starting tells whether g may still be on its way, for PID 1 gives it that time.
// Whether it has served before only PID 1 knows.
func (c *Controller) starting(g *Gateway) bool {
	return int64(sys.BootTicks()-g.Key.Start) < int64(c.Ready.Timeout/sys.Tick)
}

// prepared is nil if the next start has all that PID 1 asks for before a restart:
// programs that are nobody else's to change, and a port that nobody shares. Who
// listens beside a gateway would be in the way of the next one: the agent would
// have made a restart an outage.
func (c *Controller) prepared(ctx context.Context, g *Gateway) error {
	c.enter("looking at what the next start needs")
	uid := c.Supervisor.Key.UIDs[0]
	err := trust.Executable(c.Command[0], uid)
	for _, words := range append([][]string{c.Command[1:]}, c.Sidecars...) {
		if err == nil {
			err = trust.Arguments(words, uid)
		}
	}
	if err != nil {
		return &Failure{c.stage, control.UnsafeConfig, err}
	}
	a, err := c.judge(ctx, g, proof.Job{Mode: proof.Health, Port: c.Port}) // without a question to the gateway
	if err == nil && a.Ownership == proof.Foreign && a.Beside {
		return fmt.Errorf("%w: %s", ErrBeside, a.Foreign[0].Addr)
	}
	return nil // what cannot be seen is no obstacle: it may be why it is restarted
}
