// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// sidecar is an additional child. Nothing else waits for it, so it may fail at any
// time. It is started when the gateway is proven, and gets its stop signal before
// the gateway does. A sidecar that outlives a crashed gateway is kept, unless it
// has the token (token.go).
type sidecar struct {
	cfg     config.Sidecar
	launch  launch.Child
	child   *child
	left    *child // the former child, while its process group has members; nil: none
	wanted  bool
	due     time.Time // earliest next start
	killAt  time.Time // end of the grace of child or left; zero: none is running
	backoff backoff
	rec     status.Child
	log     zerolog.Logger
}

func newSidecar(cfg config.Sidecar, l launch.Child, log zerolog.Logger) *sidecar {
	return &sidecar{cfg: cfg, launch: l, log: withOrigin(log, cfg.Name), rec: status.Child{Name: cfg.Name, State: "waiting", UID: l.UID},
		backoff: backoff{min: time.Second, max: 30 * time.Second, reset: time.Minute}}
}

// sidecarStep is what is to be done with a sidecar now.
type sidecarStep uint8

// The steps.
const (
	sidecarWaits sidecarStep = iota
	sidecarStarts
	sidecarIsKilled
)

// next returns the step that is due, and the time of the next look. The zero time
// means that c waits for an event and not for a time. portOurs is asked only for a
// sidecar that is to have the token.
func (c *sidecar) next(now time.Time, mayStart bool, portOurs func() bool) (step sidecarStep, again time.Time) {
	c.lookAtLeft()
	switch {
	case (c.child.alive() || c.left != nil) && !c.killAt.IsZero() && !c.killAt.After(now):
		return sidecarIsKilled, time.Time{}
	case c.left != nil: // no event tells that the last of them has ended
		if next := now.Add(leftPause); next.Before(c.killAt) {
			return sidecarWaits, next
		}
		return sidecarWaits, c.killAt
	case c.child.alive():
		return sidecarWaits, c.killAt
	case c.child.pending(): // its end is not reported yet, and a sidecar never runs twice
	case !c.wanted || !mayStart:
	case c.due.After(now):
		return sidecarWaits, c.due
	case c.hasToken() && !portOurs():
		c.rec.Detail = "it has the token, and waits until the gateway alone listens on its port"
		return sidecarWaits, now.Add(plainRetry)
	default:
		return sidecarStarts, time.Time{}
	}
	return sidecarWaits, time.Time{}
}

func (c *sidecar) hasToken() bool { return c.launch.Spec.Token != nil }

// kill is called once for each stop. If we lack the permission, the next stop tries
// again.
func (c *sidecar) kill() {
	if c.left != nil {
		c.killLeft()
		return
	}
	c.killAt = time.Time{}
	c.log.Warn().Str("event", evKilled).Int("pid", c.child.pid()).Msg("the sidecar did not end within its grace")
	c.child.signalGroup(syscall.SIGKILL)
}

// begun records the start of a process for c, or why there is none.
func (c *sidecar) begun(err error, now time.Time) {
	if err != nil {
		c.child = nil
		c.rec.State, c.rec.Detail = "failed", err.Error()
		c.due = now.Add(c.backoff.max)
		return
	}
	c.due = time.Time{}
	c.rec.State, c.rec.PID, c.rec.Detail = "running", c.child.pid(), ""
	c.log.Info().Str("event", evSidecarStarted).Int("pid", c.child.pid()).Msg("")
}

// ended records the end of c's process, and schedules the next start. grace is that of
// a stop.
func (c *sidecar) ended(grace time.Duration) {
	was, code := c.child, c.child.exit.Code()
	c.leave(was, grace)
	c.child = nil
	c.rec.State, c.rec.PID, c.rec.Detail = "stopped", 0, "ended with exit code "+formatInt(code)
	if was.err != nil {
		c.rec.State, c.rec.Detail = "failed", was.err.Error()
	}
	c.log.Info().Str("event", evSidecarExited).Int("pid", was.pid()).
		Int("code", code).Str("detail", c.rec.Detail).Msg("")
	switch { // a sidecar that we ended has neither failed nor succeeded
	case was.asked:
	case c.cfg.Restart == "on-failure" && code == 0:
		c.wanted, c.backoff.streak, c.rec.State = false, 0, "done"
	case c.cfg.Restart == "never":
		c.wanted = false
	default:
		c.retry(was, code)
	}
}

// retry schedules the next start of a sidecar that ended by itself and should run.
func (c *sidecar) retry(was *child, code int) {
	delay, _ := c.backoff.countFailure(exitFacts{code: code, proven: was.err == nil, served: time.Since(was.started)})
	c.due = time.Now().Add(delay)
	c.rec.Restarts++
	if was.err == nil {
		c.rec.State = "backoff"
	}
}

// record returns c's entry in the status record. If sidecars may not start now, a
// sidecar that would be started is shown as waiting for the gateway.
func (c *sidecar) record(mayStart bool) status.Child {
	r := c.rec
	if c.left != nil {
		r.Detail += "; the processes that it left behind have the rest of their grace"
	}
	if !mayStart && (r.State == "backoff" || r.State == "stopped" && c.wanted) {
		r.State = "waiting"
	}
	r.Pending, r.StartedAt = c.pending(r.State), c.child.startedAt()
	return r
}

// pending returns the text for a sidecar that does not run, or a one-shot that is not
// done. It is "" otherwise, and for a sidecar that is not wanted.
func (c *sidecar) pending(state string) string {
	oneShot := c.cfg.Restart == "on-failure"
	switch {
	case state == "done", state == "running" && !oneShot, state == "stopped" && !c.wanted:
		return ""
	case c.cfg.Pending != "":
		return c.cfg.Pending
	case oneShot:
		return c.cfg.Name + " not done yet"
	}
	return c.cfg.Name + " not running"
}
