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

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/exitauth"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// lookFirst and lookLast bound the pauses between two looks for the new gateway;
// the pauses double. lookBefore is the pause before the second proof, because
// the processes that the former gateway started in its last 20 ms are being
// swept meanwhile.
const (
	lookFirst  = 5 * time.Millisecond
	lookLast   = 200 * time.Millisecond
	lookBefore = 20 * time.Millisecond
)

// Restart ends the gateway with its stop signal, and after its grace with
// SIGKILL, and waits until the supervisor has started another that serves. The
// exit is authorized beforehand. If that is not possible, the supervisor takes
// the exit for an unrequested one, and starts the gateway again after its
// backoff.
func (c *Controller) Restart(ctx context.Context) (old, started int, err error) {
	err = c.lockedDo(ctx, func(g *Gateway) error {
		old, started, err = c.replace(ctx, g)
		return err
	})
	return old, started, err
}

// lockedDo takes its turn, proves the gateway and calls f with it.
func (c *Controller) lockedDo(ctx context.Context, f func(*Gateway) error) error {
	done, err := c.begin(ctx)
	if err != nil {
		return c.fail(err)
	}
	defer done()
	c.enter("proving the gateway")
	g, err := c.Gateway(ctx)
	if err != nil {
		return c.fail(err)
	}
	defer g.Close()
	if err := f(g); err != nil {
		return c.fail(err)
	}
	return nil
}

// begin waits for our turn, which ends with done. It looks at nothing before that,
// because another controller's work makes an earlier proof outdated.
func (c *Controller) begin(ctx context.Context) (done func(), err error) {
	c.enter("waiting for other controllers")
	dir, why := openPlace(exitauth.Dirs())
	lock, err := newQueue(ctx, dir)
	if err != nil {
		if dir != nil {
			dir.Close()
		}
		return nil, err
	}
	c.place, c.why = dir, why
	return func() {
		lock.Close()
		if dir != nil {
			dir.Close()
		}
	}, nil
}

// notAuthorized notes that the exit cannot be authorized. The restart goes on all
// the same.
func (c *Controller) notAuthorized(why error) {
	c.Notes = append(c.Notes, fmt.Sprintf("the exit cannot be authorized, so it counts as a failure: %v", why))
}

// replace ends g and waits for another gateway. Anything that makes that
// impossible is found while g still serves.
func (c *Controller) replace(ctx context.Context, g *Gateway) (old, started int, err error) {
	old = g.Key.PID
	if err := c.checkPrepared(ctx, g); err != nil {
		return old, 0, c.fail(err)
	}
	if c.place == nil {
		c.notAuthorized(c.why)
	} else {
		if err := authorize(c.place, g.Key); err != nil {
			c.notAuthorized(err)
		}
		defer exitauth.Withdraw(c.place) // a file that stays there names processes that are gone
	}
	if err := c.stop(ctx, g.proc, g.Key); err != nil {
		return old, 0, c.fail(err)
	}
	if err := c.reaped(ctx, g); err != nil {
		return old, 0, c.fail(err)
	}
	started, err = c.await(ctx, g.Key)
	return old, started, err
}

// stop ends one process by pidfd. It proves the key once more with the
// descriptor open; from then on the signal reaches that process or none.
func (c *Controller) stop(ctx context.Context, proc *procfs.Handle, k procfs.Snapshot) error {
	c.enter(fmt.Sprintf("stopping pid %d", k.PID))
	fd, err := proc.Pidfd(k)
	if err != nil {
		return err
	}
	defer fd.Close()
	c.since = sys.BootTicks()
	if err := signal(fd, c.StopSignal); err != nil {
		return err
	}
	grace, cancel := context.WithTimeout(ctx, c.StopGrace)
	defer cancel()
	err = c.gone(grace, fd)
	if err == nil || ctx.Err() != nil {
		return err
	}
	c.enter(fmt.Sprintf("killing pid %d", k.PID))
	if err := signal(fd, unix.SIGKILL); err != nil {
		return err
	}
	if err := c.gone(ctx, fd); err != nil {
		return &Failure{c.stage, reason.StopTimeout, err}
	}
	return nil
}

// gone waits for the end of a process, reaped or not, and notes when it was last
// seen alive. The next gateway was started after that. When we learn of the end,
// the supervisor may already have started the next gateway.
func (c *Controller) gone(ctx context.Context, fd *os.File) error {
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
		c.since = now
	}
}

// reaped waits until the supervisor has reaped g. The supervisor ends the processes
// that the gateway left behind before it starts another gateway, at once or after
// its backoff. Until then a leftover process may have the port, the token and the
// right answer. It may also be a child of the supervisor that leads a session. It
// differs from the next gateway only because it started before the end.
func (c *Controller) reaped(ctx context.Context, g *Gateway) error {
	for pause := time.Millisecond; ; pause = min(2*pause, lookLast) {
		if _, err := g.proc.Snapshot(); errors.Is(err, procfs.ErrGone) {
			return nil
		}
		if err := c.Supervisor.prove(); err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// signal sends sig. It is no error if the process has already ended.
func signal(fd *os.File, sig unix.Signal) error {
	if err := procfs.Signal(fd, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// await waits for a gateway that is not the old one and serves. At the deadline
// its error says why the last one did not serve.
func (c *Controller) await(ctx context.Context, old procfs.Snapshot) (pid int, err error) {
	c.enter("waiting for the new gateway")
	last := error(ErrIdle)
	for pause := lookFirst; ; pause = min(2*pause, lookLast) {
		g, err := c.lookNow(ctx)
		if err == nil && g.Key.ID() != old.ID() {
			c.enter(fmt.Sprintf("proving pid %d", g.Key.PID))
			if pid, err = c.serves(ctx, g, proof.Prove); err == nil {
				time.Sleep(lookBefore)
				pid, err = c.serves(ctx, g, proof.Health)
			}
		}
		if g != nil {
			g.Close()
		}
		switch {
		case pid != 0:
			return pid, nil
		case ctx.Err() != nil:
			return 0, c.fail(fmt.Errorf("%w: %w", ctx.Err(), last))
		case err != nil:
			last = err
		}
		if err := c.Supervisor.prove(); err != nil {
			return 0, c.fail(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// serves returns g's pid if g serves now, and if g and the supervisor are still
// the processes that were proved.
func (c *Controller) serves(ctx context.Context, g *Gateway, mode proof.Mode) (int, error) {
	a, err := c.Judge(ctx, g, mode)
	if err == nil {
		err = c.Verdict(a)
	}
	if err == nil {
		err = c.Supervisor.prove()
	}
	if err == nil {
		err = g.proc.Verify(g.Key)
	}
	if err != nil {
		return 0, err
	}
	return g.Key.PID, nil
}
