// SPDX-License-Identifier: Apache-2.0

// Package operate operates the supervisor of this container. An Operator says whether the
// gateway serves, and carries out requests. There are two: Local believes the status
// record, after a check against the kernel, and sends requests over the FIFO. External is
// for root beside a supervisor without root. It believes only what the kernel shows.
package operate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// Operator operates one supervisor. A function that is called at each stage of a request
// gets its name.
type Operator interface {
	// Look says what serves now. It never fails; an error becomes the verdict.
	Look(ctx context.Context) View
	// Do carries out a request and returns its result.
	Do(ctx context.Context, r control.Request, say func(stage string)) (Result, error)
	// Token reads the gateway's token. The caller wipes it.
	Token(ctx context.Context) (*tokenfile.Secret, error)
	// Logs returns the logs of these names (package logfile) that exist.
	Logs(ctx context.Context, names []string) ([]Log, error)
	// Advise completes advice: with the command that shows the logs of this supervisor, and
	// with the ids of its user.
	Advise(advice string) string
	// Adopt ends an unmanaged gateway, and makes the supervisor start ours.
	Adopt(ctx context.Context, say func(stage string)) (Result, error)
	// Evict ends the agent's processes that have the gateway's port.
	Evict(ctx context.Context, all bool) (Evicted, error)
	// IsSeparated reports whether the gateway has another user than the agent.
	IsSeparated() bool
}

// Result is the result of a request.
type Result = external.Result

// LookTimeout bounds one look.
const LookTimeout = 10 * time.Second

// Choose returns the Operator of the supervisor that this process may operate. The error
// says who else may. env is the caller's environment.
func (l *Local) Choose(env []string) (Operator, error) {
	l.awaitOwn(env)
	switch {
	case l.isExternal():
		return External{l, env}, nil
	case l.EUID == int(l.Owner):
		return l, nil
	}
	return nil, &external.Failure{Reason: reason.NotPermitted, Err: fmt.Errorf("only %s may, this is uid %d", describeUID(l.Owner), l.EUID)}
}

// MayBecomeExternal reports whether root can expect a supervisor below a foreign PID 1
// that has just started, so that Choose may choose another Operator. awaitOwn is the
// counterpart for other users.
func (l *Local) MayBecomeExternal() bool {
	_, err := l.Config()
	return l.EUID == 0 && l.RuntimeDir == "" && err == nil
}

// isExternal reports whether we are root beside a supervisor that does not run as
// root. That is so if no root supervisor has left files, and there is one
// supervisor without root, or there are several processes that might be one. A root
// supervisor that has not left files yet is waited for instead; without it the
// command is refused. During our look PID 1 may execute another program, because
// the engine is still starting it. Such a look says nothing, and we look again.
func (l *Local) isExternal() bool {
	if l.EUID != 0 || l.RuntimeDir != "" {
		return false
	}
	for until := time.Now().Add(l.Patience); ; time.Sleep(ownEvery) {
		if l.Owner == 0 {
			dir, err := l.OpenRuntime()
			if err == nil {
				dir.Close()
				return false
			}
			// Files that root does not own prove nothing either way, because the
			// agent may have put them there.
		}
		err := l.seek()
		if !errors.Is(err, procfs.ErrChanged) || time.Now().After(until) {
			return !errors.Is(err, external.ErrNone) && !errors.Is(err, external.ErrUnproven)
		}
	}
}

// seek returns nil if there is one supervisor without root.
func (l *Local) seek() error {
	ctx, cancel := context.WithTimeout(context.Background(), LookTimeout)
	defer cancel()
	s, err := l.Find(ctx)
	if err == nil {
		s.Close()
	}
	return err
}

// describeUID formats a uid for a message.
func describeUID(uid uint32) string {
	if uid == 0 {
		return "root"
	}
	return "uid " + strconv.FormatUint(uint64(uid), 10) + ", who PID 1 is,"
}
