// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"fmt"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/inspector"
	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// mustReplace reports whether g definitely does not serve and has had its time to
// start. Otherwise the error says why g does not serve, and is nil if it does.
func (c *Controller) mustReplace(ctx context.Context, g *procfs.Held) (bool, error) {
	pause, why := 2*policy.RecoverPause, error(nil)
	for tries := 1; ; {
		c.enter("proving the gateway")
		a, err := c.Judge(ctx, g, proof.Prove)
		if err != nil && ctx.Err() != nil && why != nil { // this try was cut short; the previous one says more
			err = fmt.Errorf("%w: %w", ctx.Err(), why)
		}
		if err != nil {
			return false, err
		}
		why = c.Verdict(a)
		if why == nil || !isDefinite(a) { // a restart does not help if there is a doubt
			return false, why
		}
		switch {
		case c.starting(g):
			c.enter(fmt.Sprintf("giving pid %d its time to start", g.PID))
			tries = 0
		case tries == policy.Failures:
			return true, nil
		}
		tries++
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false, fmt.Errorf("%w: %w", ctx.Err(), why)
		}
		pause = min(2*pause, policy.AskLate)
	}
}

// isDefinite reports whether the gateway does not serve beyond doubt. A foreign
// listener leaves a doubt, because the agent must not be able to have a healthy
// gateway ended.
func isDefinite(a inspector.Answer) bool {
	return a.Ownership != proof.Foreign && a.Verdict.Definite()
}

// starting reports whether g may still be starting, in the time that PID 1 gives
// it. Only PID 1 knows whether g has served before.
func (c *Controller) starting(g *procfs.Held) bool {
	return int64(sys.BootTicks()-g.Start) < int64(c.Ready.Timeout/sys.Tick)
}

// checkPrepared returns nil if the next start has all that PID 1 asks for before a
// restart: programs that no other user can change, room for its processes, and a port
// that no other process shares. A process that listens beside a gateway would be in the way of
// the next one, so the agent could turn a restart into an outage.
func (c *Controller) checkPrepared(ctx context.Context, g *procfs.Held) error {
	c.enter("looking at what the next start needs")
	uid := c.Supervisor.UIDs[0]
	var sidecars []pathcheck.Command
	for _, s := range c.sidecars {
		sidecars = append(sidecars, pathcheck.Command{Words: s.Command, UID: uid})
	}
	if err := pathcheck.Commands(pathcheck.Command{Words: c.Command, UID: uid}, sidecars); err != nil {
		return &Failure{c.stage, reason.UnsafeConfig, err}
	}
	if err := sys.CheckPids(policy.RestartPids); err != nil {
		return &Failure{c.stage, reason.NoRoom, err}
	}
	a, err := c.judgeListeners(ctx, g)
	if err == nil && a.Beside {
		return fmt.Errorf("%w: %s", errUnmanagedBeside, a.Foreign[0].Addr)
	}
	return nil // a failed look is no obstacle, because g may be restarted for that reason
}
