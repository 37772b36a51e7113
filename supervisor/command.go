package supervisor

import (
	"errors"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"gatewayinit/internal/config"
	"gatewayinit/internal/launch"
	"gatewayinit/internal/status"
)

// Exit codes of a command that cannot be executed, as every shell has them.
const (
	codeNotFound      = 127
	codeNotExecutable = 126
)

// beginCommand starts the container's command, once.
func (s *Supervisor) beginCommand() {
	if s.began || s.c.Command == nil || s.ending {
		return
	}
	s.began, s.dirty = true, true
	c := &child{done: s.commandDone}
	if err := s.start(*s.c.Command, c); err != nil {
		// Out of pids or memory: the container cannot do what it is for.
		s.log.Error().Str("event", evCommandFailed).Err(err).Msg("")
		s.commandEnded(codeNotExecutable)
		return
	}
	s.command = c
	s.log.Info().Str("event", evCommandStarted).Int("pid", c.pid()).Msg("")
}

func (s *Supervisor) commandDone(c *child) {
	code := c.exit.Code()
	var f *launch.Failure
	if errors.As(c.err, &f) && f.Step != launch.StepDied {
		code = codeNotExecutable
		if errors.Is(f, syscall.ENOENT) {
			code = codeNotFound
		}
		s.log.Error().Str("event", evCommandFailed).Str("command", s.c.Command.Spec.Argv[0]).Err(c.err).Msg("")
	}
	s.log.Info().Str("event", evCommandExited).Int("pid", c.pid()).Int("code", code).Msg("")
	s.commandEnded(code)
}

// commandEnded: the container ends with its command.
func (s *Supervisor) commandEnded(code int) {
	s.cmdCode, s.dirty = &code, true
	s.end()
}

// sidecar is a further child. It can fail as it likes: nothing else waits for it.
type sidecar struct {
	cfg     config.Sidecar
	launch  launch.Child
	child   *child
	wanted  bool
	due     time.Time // not before
	backoff backoff
	rec     status.Child
	log     zerolog.Logger
}

func newSidecar(cfg config.Sidecar, l launch.Child, log zerolog.Logger) *sidecar {
	return &sidecar{cfg: cfg, launch: l, log: origin(log, cfg.Name), rec: status.Child{Name: cfg.Name, State: "waiting", UID: l.UID},
		backoff: backoff{min: time.Second, max: 30 * time.Second, reset: time.Minute}}
}

// startSidecars starts what is wanted and due, and arms the timer for the rest.
func (s *Supervisor) startSidecars() {
	now := time.Now()
	var next time.Time
	for _, c := range s.sidecars {
		switch {
		case !c.wanted || c.child.pending():
		case c.due.After(now):
			if next.IsZero() || c.due.Before(next) {
				next = c.due
			}
		default:
			s.startSidecar(c)
		}
	}
	if !next.IsZero() {
		s.timers.arm(sidecarTimer, next.Sub(now))
	}
}

func (s *Supervisor) startSidecar(c *sidecar) {
	l := c.launch
	if l.Spec.Token != nil {
		token := *l.Spec.Token
		token.Sum = s.c.Token.Sum()
		l.Spec.Token = &token
	}
	s.dirty = true
	c.child = &child{done: func(*child) { s.sidecarDone(c) }}
	if err := s.start(l, c.child); err != nil {
		c.child = nil
		c.rec.State, c.rec.Detail = "failed", err.Error()
		c.due = time.Now().Add(c.backoff.max)
		s.timers.arm(sidecarTimer, c.backoff.max)
		return
	}
	c.rec.State, c.rec.PID, c.rec.Detail = "running", c.child.pid(), ""
	c.log.Info().Str("event", evSidecarStarted).Int("pid", c.child.pid()).Msg("")
}

func (s *Supervisor) sidecarDone(c *sidecar) {
	code := c.child.exit.Code()
	delay := c.backoff.min
	if !c.child.asked { // what we end is no failure of its own
		e := ended{code: code, proven: c.child.err == nil, served: time.Since(c.child.started)}
		delay, _ = c.backoff.charge(e)
	}
	c.rec.State, c.rec.PID, c.rec.Detail = "stopped", 0, "ended with exit code "+itoa(code)
	if c.child.err != nil {
		c.rec.State, c.rec.Detail = "failed", c.child.err.Error()
	}
	c.log.Info().Str("event", evSidecarExited).Int("pid", c.child.pid()).
		Int("code", code).Str("detail", c.rec.Detail).Msg("")
	asked := c.child.asked
	c.child, s.dirty = nil, true
	if c.cfg.Restart == "never" || c.cfg.Restart == "on-failure" && code == 0 {
		c.wanted = false
	}
	if c.wanted {
		c.rec.Restarts++
		if c.rec.State != "failed" {
			c.rec.State = "backoff"
		}
		c.due = time.Now().Add(delay)
		s.startSidecars()
	} else if asked {
		c.due = time.Time{} // it comes back with the gateway
	}
}

// sweptSidecars: the sweep is about to end those that have the gateway's UID.
func (s *Supervisor) sweptSidecars() {
	for _, c := range s.sidecars {
		if c.child.alive() && c.launch.UID == s.c.Gateway.UID {
			c.child.asked = true
		}
	}
}

// stopSidecars asks all of them to end; they share the gateway's grace.
func (s *Supervisor) stopSidecars() { s.signalSidecars(syscall.SIGTERM) }

func (s *Supervisor) killSidecars() { s.signalSidecars(syscall.SIGKILL) }

func (s *Supervisor) signalSidecars(sig syscall.Signal) {
	for _, c := range s.sidecars {
		c.wanted = false
		if c.child.alive() {
			c.child.asked = true
			c.child.proc.SignalGroup(sig)
		}
	}
	s.timers.cancel(sidecarTimer)
}
