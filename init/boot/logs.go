// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/gateway-init/gateway-init/internal/logfile"
	"github.com/gateway-init/gateway-init/internal/logring"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// Sizes of the logs in bytes, in a runtime directory of wholeDir bytes or more. In a smaller
// one they are smaller, so that together they take at most half of it.
const (
	wholeDir        = 1 << 20
	initLogSize     = 128 << 10
	gatewayLogSize  = 256 << 10
	sidecarsLogSize = 128 << 10
)

// outlet is where the lines of our log go: to the container's stderr, and to a file if
// that stderr is the terminal of a command. While the command has the terminal, they go
// to the file alone.
type outlet struct {
	container *os.File                    // stderr, non-blocking
	file      atomic.Pointer[logfile.Log] // nil: none
	lent      atomic.Bool                 // the command has the terminal
	ring      *logring.Ring               // the queue in front
}

func newOutlet(container *os.File) *outlet {
	o := &outlet{container: container}
	o.ring = logring.New(o)
	return o
}

// Write writes a line. Only the goroutine of the ring calls it.
func (o *outlet) Write(line []byte) (int, error) {
	if f := o.file.Load(); f != nil {
		f.Write(line)
	}
	if !o.lent.Load() {
		o.container.Write(line)
	}
	return len(line), nil
}

// lendBound is how long the start of a command waits for a terminal that takes no output,
// so that earlier lines get there before the command's.
const lendBound = 100 * time.Millisecond

// lend keeps the log off the terminal, until takeBack. The deadline in the past ends a
// write that waits for the terminal. A terminal that could not be opened again has none.
func (o *outlet) lend() {
	o.ring.Flush(lendBound)
	o.lent.Store(true)
	_ = o.container.SetWriteDeadline(time.Unix(1, 0))
}

func (o *outlet) takeBack() {
	_ = o.container.SetWriteDeadline(time.Time{})
	o.lent.Store(false)
}

// ownsTerminal reports whether there is a command that gets the container's terminal.
func (s settings) ownsTerminal() bool { return len(s.command) > 0 && sys.IsTerminal(0) }

// openLogs keeps our log, and the output of gateway and sidecars, off the terminal of a
// command that owns it. It decides for each of stdout and stderr, because one may have been
// redirected. It leaves everything as it is if there is no such command.
func (b *bootstrap) openLogs(dir *runtimedir.Dir, c *supervisor.Config) error {
	on := [3]bool{1: sys.IsTerminal(1), 2: sys.IsTerminal(2)}
	if !b.settings.ownsTerminal() || !on[1] && !on[2] {
		return nil
	}
	if on[2] {
		l, err := newLog(dir, logfile.Init, initLogSize)
		if err != nil {
			return err
		}
		b.outlet.file.Store(l)
		c.Lend = b.lend
		if c.Relay != nil { // its lines are few, and like ours
			if err := divert(&c.Relay.Launch, on, l); err != nil {
				return err
			}
		}
	}
	if c.Gateway != nil {
		l, err := newLog(dir, logfile.Gateway, gatewayLogSize)
		if err == nil {
			err = divert(c.Gateway, on, l)
		}
		if err != nil {
			return err
		}
	}
	if len(c.Sidecars) > 0 {
		l, err := newLog(dir, logfile.Sidecars, sidecarsLogSize)
		for i := range c.Sidecars {
			if err == nil {
				err = divert(&c.Sidecars[i], on, l)
			}
		}
		if err != nil {
			return err
		}
	}
	c.Base.LogFiles = true
	return nil
}

// newLog makes a log that leaves the space that record, token and replies need.
func newLog(dir *runtimedir.Dir, name string, size int) (*logfile.Log, error) {
	_, total, err := sys.Space(dir.File)
	if err == nil && total > 0 && total < wholeDir {
		size = size * int(total) / wholeDir
	}
	l, err := logfile.New(dir.File, name, size, minFree)
	if err != nil {
		return nil, addRemedy(fmt.Errorf("cannot make the log: %w", err), dir)
	}
	return l, nil
}

// divert makes c write into a pipe, and not to the descriptors that are on the terminal.
// What comes over the pipe goes to l. Each child has a pipe of its own: a hostile one can
// neither read nor block another one's output.
func divert(c *launch.Child, on [3]bool, l *logfile.Log) error {
	r, w, err := sys.OutputPipe(c.UID)
	if err != nil {
		return fmt.Errorf("cannot make a pipe for the output of %s: %w", c.Spec.Argv[0], err)
	}
	for fd, isTerminal := range on {
		if isTerminal {
			c.Stdio[fd] = w
		}
	}
	go l.Drain(r)
	return nil
}

// lend is supervisor.Config.Lend.
func (b *bootstrap) lend(lent bool) {
	if !lent {
		b.outlet.takeBack()
		return
	}
	b.log.Info().Str("event", evLogMoved).Msg("the command has the terminal: gatewayctl logs shows what follows")
	b.outlet.lend()
}
