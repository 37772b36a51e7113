// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// common is what every owner uses: the settings, the kernel, the clock and the children.
// It decides nothing.
type common struct {
	c      Config
	g      config.Gateway
	log    zerolog.Logger
	kernel kernel
	timers *timers
	port   uint16 // the gateway's; another one for each start where PickPort is set

	children map[int]*child // by pid, until reaped
	answers  chan answer
	unscored error // why a child has no OOM score
	noGrace  bool  // the line about a group that has no grace was written
}

func newCommon(c Config) *common {
	return &common{
		c: c, g: c.Settings.Gateway, log: OriginInit(c.Log), kernel: realKernel(), timers: newTimers(), port: c.Settings.Gateway.Port,
		children: map[int]*child{}, answers: make(chan answer, 8),
	}
}

// fault logs a bug, or a refusal of the kernel that should never happen. PID 1 goes
// on.
func (e *common) fault(what string, err error) {
	e.log.Error().Str("event", evInternal).Err(err).Msg(what)
}

// start forks c's process and tracks it until its end. A child that is to have the
// token gets the token in force. The error matches errToken if that token cannot be
// handed over.
func (e *common) start(l launch.Child, c *child) error {
	if l.Spec.Token != nil {
		closeToken, err := e.handToken(&l)
		if err != nil {
			return err
		}
		defer closeToken()
	}
	l.Started = e.c.Started
	proc, unscored, err := e.kernel.start(l, func(found string, err error) { e.answers <- answer{c, found, err} })
	if err != nil {
		return err
	}
	c.proc, c.started = proc, time.Now()
	e.noteUnscored(unscored)
	e.identify(c)
	e.children[proc.Pid()] = c
	return nil
}

// identify reads the identity of a child that is not reaped, so that its pid is its own.
// /proc may hide the child. Its re-exec child is hidden under hidepid even where the
// target will be shown (gateway-init cannot be read), so identify is called once more
// when the target runs.
func (e *common) identify(c *child) {
	var err error
	if c.id, err = e.kernel.identify(c.pid()); err != nil {
		c.id = procfs.ID{PID: c.pid()}
	}
}

// oomScore is the name of a missing OOM score under hardening.
const oomScore = "oom-score"

// noteUnscored keeps the first failure to set an OOM score, unless boot has listed one.
func (e *common) noteUnscored(err error) {
	listed := slices.ContainsFunc(e.c.Base.Hardening, func(h status.Hardening) bool { return h.Name == oomScore })
	if err == nil || e.unscored != nil || listed {
		return
	}
	e.unscored = err
	e.log.Warn().Str("event", evHardening).Str("name", oomScore).Str("detail", err.Error()).Msg("")
}

// fill lists a failure to set an OOM score under hardening.
func (e *common) fill(r *status.Record) {
	if e.unscored != nil {
		r.Hardening = append(slices.Clip(r.Hardening), status.Hardening{Name: oomScore, Detail: e.unscored.Error()})
	}
}

// reapOne reaps a child that has ended. It looks at the child before reaping it,
// because until then no other process can have the pid. ok is false if there is none,
// and c is nil if PID 1 did not start it.
func (e *common) reapOne() (c *child, ok bool) {
	pid, err := e.kernel.peek()
	if err != nil {
		e.fault("cannot look for ended children", err)
	}
	if err != nil || pid == 0 {
		return nil, false
	}
	c = e.children[pid]
	if c != nil {
		e.noteNoGrace(c.leaveGroup())
	}
	exit, err := e.kernel.reap(pid)
	if err != nil {
		e.fault("cannot reap", err)
		return nil, false
	}
	if c != nil {
		delete(e.children, pid)
		c.exit = &exit
		if !c.keepsGroup() {
			c.proc.Close()
		}
	}
	return c, true
}

// noteNoGrace logs once why the rest of a process group is killed without its grace.
func (e *common) noteNoGrace(err error) {
	if err == nil || e.noGrace {
		return
	}
	e.noGrace = true
	e.log.Warn().Str("event", evNoGrace).Err(err).
		Msg("the kernel cannot signal a process group whose leader was reaped (before Linux 6.9), so when a sidecar ends, the rest of its group is killed at once")
}

// answered records a re-exec child's answer, and sends the signals that waited for it.
// A child that must answer is killed if it did not answer in time.
func (e *common) answered(a answer) {
	c := a.c
	c.reported, c.found, c.err = true, a.found, a.err
	if c.id.Start == 0 && a.err == nil && c.alive() {
		e.identify(c)
	}
	if c.mustAnswer() && failedAt(a.err) == launch.StepDied && c.alive() {
		if err := c.signal(syscall.SIGKILL); err != nil {
			e.fault("cannot kill what has not answered", err)
		}
	}
	for _, send := range c.waiting {
		if !c.alive() {
			break
		}
		if err := send(); err != nil {
			e.fault("cannot signal the target of a re-exec child", err)
		}
	}
	c.waiting = nil
}
