// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// reload sends the gateway its reload signal by pidfd, if it serves, and proves it again. A
// gateway that starts has no handler yet, and would end.
func (c *Controller) reload(ctx context.Context, g *procfs.Held) error {
	if c.Reload == 0 {
		return &Failure{c.stage, reason.NoReload, errors.New(reason.NoReload.Text())}
	}
	if err := c.serves(ctx, g, proof.Prove); err != nil {
		return err
	}
	fd, err := g.Pidfd()
	if err != nil {
		return err
	}
	defer fd.Close()
	c.enter(fmt.Sprintf("signalling pid %d", g.PID))
	if err := signal(fd, c.Reload); err != nil {
		return err
	}
	return c.serves(ctx, g, proof.Prove)
}

// stop ends one process by pidfd, by the rule of the configuration: the stop signal with
// SIGCONT, and after its grace SIGKILL. It proves the process once more with the
// descriptor open; from then on the signal reaches that process or none. since is when
// the process was last seen alive. Any process that it left behind is older.
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
	if err := signal(fd, unix.SIGKILL); err != nil {
		return since, err
	}
	if err := awaitGone(ctx, fd, &since); err != nil {
		return since, &Failure{s.stage, reason.StopTimeout, err}
	}
	return since, nil
}

// awaitGone waits for the end of a process, reaped or not, and notes when it was last
// seen alive. The next gateway was started after that. When we learn of the end,
// the supervisor may already have started the next gateway.
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
