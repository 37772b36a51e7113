// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// lookBefore is the pause before the second proof, because the processes that the former
// gateway started in its last 20 ms are being swept meanwhile.
const lookBefore = 20 * time.Millisecond

// mustReplace reports whether g definitely does not serve and has had its time to
// start. Otherwise the error says why g does not serve, and is nil if it does.
func (c *Controller) mustReplace(ctx context.Context, g *procfs.Held) (bool, error) {
	pause, why := 2*policy.RecoverPause, error(nil)
	for tries := 1; ; {
		c.enter("proving the gateway")
		a, err := c.Judge(ctx, g, proof.Prove)
		switch {
		case err != nil && ctx.Err() != nil && why != nil: // this try was cut short; the previous one says more
			return false, fmt.Errorf("%w: %w", ctx.Err(), why)
		case err != nil:
			return false, err
		}
		why = c.Verdict(a)
		if why == nil || !isDefinite(a) { // a restart does not help if there is a doubt
			return false, why
		}
		switch {
		case int64(sys.BootTicks()-g.Start) < int64(c.Ready.Timeout/sys.Tick): // only PID 1 knows whether g has served before
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

// isDefinite reports whether the gateway does not serve beyond doubt. A foreign listener
// leaves a doubt; otherwise the agent could have a healthy gateway ended.
func isDefinite(a Judgment) bool { return a.Ownership != proof.Foreign && a.Verdict.Definite() }

// replace ends g by the rule of the configuration, and waits until the supervisor has
// started another that serves. Anything that makes that impossible is found while g still
// serves.
func (c *Controller) replace(ctx context.Context, g *procfs.Held) error {
	if err := c.checkPrepared(ctx, g); err != nil {
		return err
	}
	defer c.authorize(g)()
	var err error
	if c.since, err = c.stop(ctx, g, &c.Gateway); err != nil {
		return err
	}
	// The supervisor ends the processes that the gateway left behind before it starts
	// another gateway. Until then a leftover process may have the port, the token and the
	// right answer, and be a child of the supervisor that leads a session. It differs from
	// the next gateway only because it started before the end.
	err = poll(ctx, func() (bool, error) { return g.IsReaped(), c.Supervisor.prove() })
	if err == nil {
		_, err = c.await(ctx)
	}
	return err
}

// checkPrepared returns nil if the next start has all that PID 1 asks for before a restart.
// Otherwise the agent could turn a restart into an outage, for example by a listener beside
// the gateway.
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
	if err := pathcheck.WorkingDir(c.WorkingDir); err != nil {
		return &Failure{c.stage, reason.LaunchFailed, err}
	}
	if err := sys.CheckPids(policy.RestartPids); err != nil {
		return &Failure{c.stage, reason.NoRoom, err}
	}
	a, err := c.Supervisor.user().judge(ctx, g, proof.Job{Port: c.Port}, "")
	if err == nil && a.beside {
		return &Failure{c.stage, reason.ListenerForeign, fmt.Errorf("another process listens beside the gateway, and would be in the way of its next start: %s", a.Foreign[0].Addr)}
	}
	return nil // a failed look is no obstacle, because g may be restarted for that reason
}

// await waits for a gateway that is not older than c.since and serves, and makes it the
// result. At the deadline its error says why the last one did not serve.
func (c *Controller) await(ctx context.Context) (found procfs.ID, err error) {
	c.enter("waiting for the new gateway")
	last := error(ErrIdle)
	err = poll(ctx, func() (bool, error) {
		id, err := c.lookForNew(ctx)
		switch {
		case err == nil:
			found = id
			return true, nil
		case ctx.Err() != nil: // this look was cut short; the previous one says more
			return false, ctx.Err()
		}
		last = err
		return false, c.Supervisor.prove()
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), last)
	}
	c.result.NewPID = found.PID
	return found, err
}

// lookForNew returns a gateway that serves. It may have the former one's pid.
func (c *Controller) lookForNew(ctx context.Context) (none procfs.ID, err error) {
	g, err := c.lookNow(ctx)
	if err != nil {
		return none, err
	}
	defer g.Close()
	c.enter(fmt.Sprintf("proving pid %d", g.PID))
	if err := c.serves(ctx, g, proof.Prove); err != nil {
		return none, err
	}
	time.Sleep(lookBefore)
	return g.ID(), c.serves(ctx, g, proof.Health)
}

// stop ends one process by pidfd: the stop signal with SIGCONT, and after its grace SIGKILL.
// The process is proved once more with the descriptor open; from then on a signal reaches it
// or none. since is when it was last seen alive. Any process that it left behind is older.
func (s *stages) stop(ctx context.Context, p *procfs.Held, g *config.Gateway) (since uint64, err error) {
	s.enter(fmt.Sprintf("stopping pid %d", p.PID))
	fd, err := p.Pidfd()
	if err != nil {
		return 0, err
	}
	defer fd.Close()
	since = sys.BootTicks()
	if err := errors.Join(signal(fd, g.StopSignal), signal(fd, unix.SIGCONT)); err != nil { // a stopped process does not see the first
		return since, err
	}
	grace, cancel := context.WithTimeout(ctx, g.StopGrace)
	defer cancel()
	err = awaitGone(grace, fd, &since)
	if err == nil || ctx.Err() != nil {
		return since, err
	}
	s.enter(fmt.Sprintf("killing pid %d", p.PID))
	if err = signal(fd, unix.SIGKILL); err != nil {
		return since, err
	}
	if err = awaitGone(ctx, fd, &since); err != nil {
		err = &Failure{s.stage, reason.StopTimeout, err}
	}
	return since, err
}

// awaitGone waits for the end of a process, reaped or not, and notes when it was last seen
// alive. When we learn of the end, the supervisor may already have started the next gateway.
func awaitGone(ctx context.Context, fd *os.File, since *uint64) error {
	for {
		now := sys.BootTicks()
		ended, err := sys.Ended(int(fd.Fd()), sys.Tick)
		runtime.KeepAlive(fd)
		if ended || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		*since = now
	}
}

// signal sends sig. It is no error if the process has already ended.
func signal(fd *os.File, sig unix.Signal) error {
	if err := procfs.Signal(fd, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
