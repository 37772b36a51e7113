// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// Local is the Operator of the supervisor's user. It reads the status record and the
// token, and sends requests over the FIFO.
type Local struct {
	Host
	RuntimeDir string // "" means the default places
	Hardened   error  // why this process can be dumped; it must not have a token then
}

// IsSeparated reports whether the supervisor runs as root.
func (l *Local) IsSeparated() bool { return l.Owner == 0 }

// Look reads the record and verifies it.
func (l *Local) Look(context.Context) View {
	dir, err := l.OpenRuntime()
	if err != nil {
		return View{Verdict: UnreadableVerdict(err), Topology: external.None}
	}
	defer dir.Close()
	return l.lookAt(dir)
}

// lookAt is Look in an open runtime directory. If the record is replaced during
// the look, because a gateway is being restarted, lookAt looks again, at most
// twice. Otherwise it would compare an outdated record with the kernel.
func (l *Local) lookAt(dir *os.File) View {
	for try := 0; ; try++ {
		r, err := status.Read(dir, l.Owner)
		if err != nil {
			return View{Verdict: UnreadableVerdict(err)}
		}
		v := View{Record: &r, Checks: l.verify(dir, &r), PID: r.Gateway.PID, Port: clientPort(&r), owns: inRecord(&r)}
		v.Topology = l.topology(&r, v.Checks)
		v.Verdict = Judge(&r, v.Checks)
		v.Hint = adviseFor(&r, v.Hint)
		if v.Serving || try == 2 {
			return v
		}
		if again, err := status.Read(dir, l.Owner); err != nil || again.UpdatedAt.Equal(r.UpdatedAt) {
			return v
		}
	}
}

// topology returns the topology of docs/design.md, section 11, if the supervisor
// was verified.
func (l *Local) topology(r *status.Record, cs Checks) string {
	switch c := cs.Get(CheckSupervisor); {
	case c.Result == status.Failed:
		return external.None
	case c.Result != status.Held:
		return ""
	case r.Init.PID != 1:
		return external.Managed
	case l.Owner != 0:
		return external.NonRoot
	}
	return external.Direct
}

// Do waits for a supervisor that is just starting, then sends r and waits for its answer.
// A failure has PID 1's explanation.
func (l *Local) Do(ctx context.Context, r control.Request, say func(string)) (result Result, err error) {
	dir, err := l.awaitRuntime(ctx, say)
	if err != nil {
		return result, &control.UnsentError{Err: err}
	}
	defer dir.Close()
	c := control.NewClient(dir)
	c.Owner, c.Booting = l.Owner, l.Booting
	if rec, err := status.Read(dir, l.Owner); err == nil && l.Process(rec.Init) == nil {
		c.Alive = func() error { return l.Process(rec.Init) }
	}
	drain := time.Duration(r.Drain) * time.Second
	c.Stage = func(nonce string) string { return l.stageOf(dir, nonce, drain) }
	result.Renewed = r.Rotate
	if result.Reply, err = c.Do(ctx, r, say); err == nil && result.Outcome == control.Failed {
		detail := cmp.Or(l.detailOf(dir, result.Reply), result.Reason.Text()) + pids(result.Reply)
		err = &external.Failure{Reason: result.Reason, Err: errors.New(detail)}
	}
	return result, err
}

// Draining is the prefix of a drain's stage.
const Draining = "draining:"

// stageOf returns how far PID 1 is with our request. It returns "" if PID 1
// works on another one. A drain can take minutes, so its stage includes the time
// that has passed.
func (l *Local) stageOf(dir *os.File, nonce string, drain time.Duration) string {
	r, err := status.Read(dir, l.Owner)
	if err != nil || r.Request == nil || r.Request.Nonce == "" || !strings.HasPrefix(nonce, r.Request.Nonce) {
		return ""
	}
	if until := r.Request.Until; drain > 0 && until != nil {
		return fmt.Sprintf("%s pid %d ends by itself within %s, %s passed",
			Draining, r.Gateway.PID, FormatSpan(drain), FormatSpan(drain-until.Sub(l.Now())))
	}
	return r.Request.Stage
}

// FormatSpan formats a duration in its two largest units. A clock that was set back
// gives 0.
func FormatSpan(d time.Duration) string {
	s := max(0, int64(d/time.Second))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// detailOf returns PID 1's explanation of the failure that it has just answered,
// or "" if its record is about something else. PID 1 publishes the record before it
// answers. A lack of room is no matter of the gateway, so it is not in the record, and
// detailOf looks itself.
func (l *Local) detailOf(dir *os.File, reply control.Reply) string {
	if reply.Reason == reason.NoRoom {
		if err := sys.CheckPids(policy.RestartPids); err != nil {
			return err.Error()
		}
		return ""
	}
	r, err := status.Read(dir, l.Owner)
	if err != nil || r.Reason != reply.Reason {
		return ""
	}
	return r.Detail
}

// pids returns the pids of a failed reply, for its message.
func pids(r control.Reply) string {
	switch {
	case r.OldPID == 0 && r.NewPID == 0:
		return ""
	case r.OldPID == r.NewPID || r.NewPID == 0:
		return fmt.Sprintf(" (pid %d)", r.OldPID)
	case r.OldPID == 0:
		return fmt.Sprintf(" (pid %d)", r.NewPID)
	}
	return fmt.Sprintf(" (pid %d → %d)", r.OldPID, r.NewPID)
}

// awaitRuntime opens the runtime directory, and waits for it while PID 1 is a
// process that will make it.
func (l *Local) awaitRuntime(ctx context.Context, say func(string)) (*os.File, error) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		dir, err := l.OpenRuntime()
		switch {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case !l.Booting():
			return nil, fmt.Errorf("%w: %w", control.ErrNoSupervisor, err)
		}
		say("waiting for the supervisor")
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, context.Canceled
			}
			return nil, fmt.Errorf("%w (%w)", control.ErrDeadline, err)
		case <-tick.C:
		}
	}
}
