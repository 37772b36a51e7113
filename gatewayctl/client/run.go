// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/sweep"
)

// Run starts the client and returns its exit code, or 128+n if signal n ended
// it, when the client and all it started have ended. A KilledError means that
// the client ran and was killed; any other error means that it did not run. Run
// permanently changes the rights, the umask and the signals of this process.
func (p *Plan) Run(g Grant, io Stdio) (code int, err error) {
	if err := p.confine(); err != nil {
		return 0, err
	}
	h, err := openHome(p.User, places())
	if err != nil {
		return 0, err
	}
	notes := func(texts ...string) {
		for _, text := range texts {
			fmt.Fprintf(io.Err, "gatewayctl: note: %s\n", text)
		}
	}
	defer func() {
		if err := h.close(); err != nil {
			notes(err.Error())
		}
	}()
	notes(append(p.Notes, h.notes()...)...)
	return p.run(h, g, io)
}

func (p *Plan) run(h *home, g Grant, io Stdio) (int, error) {
	runtime.LockOSThread() // for start; the goroutine that calls us lasts as long as the program
	// Subscribe before the fork, so that no signal is missed. A subscribed
	// signal has its default action again in the child. With SIGPIPE, a reader
	// that is gone is an error of write(2). SIGTSTP is for the inner terminal.
	signals := make(chan os.Signal, 128)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGWINCH, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP,
		syscall.SIGPIPE, syscall.SIGTSTP)
	defer signal.Stop(signals)
	// Orphans of the client become our children, to be ended with it.
	if err := sys.SetSubreaper(); err != nil {
		return 0, err
	}
	r, err := p.relay(io)
	if err != nil {
		return 0, err
	}
	defer r.screen.restore()
	process, err := p.start(h, g, r.client)
	if g.Token != nil {
		g.Token.Wipe()
	}
	if err != nil {
		return 0, err
	}
	s := &session{relay: r, process: process, stdin: io.In, tty: p.TTY, signals: signals, sweeper: sweep.NewByUID(p.User.UID, true), grace: p.grace, grant: g}
	r.begin(io.In, p.TTY)
	if err := keepOnly(h.parent != nil); err != nil {
		s.kill()
		s.finish()
		return 0, err
	}
	s.loop()
	code := s.finish()
	if s.cut != nil {
		return 0, s.cut
	}
	return code, nil
}

func (p *Plan) relay(io Stdio) (*relay, error) {
	if p.TTY {
		return terminal(io, p.User)
	}
	return pipes(io)
}

// session is a running client. One goroutine owns all of it.
type session struct {
	relay   *relay
	process *os.Process
	stdin   *os.File // the caller's
	tty     bool
	signals chan os.Signal
	sweeper *sweep.ByUID
	grace   time.Duration
	grant   Grant
	exit    sys.Exit // once ended
	ended   bool
	hurry   bool  // we were told to end
	cut     error // why the client was killed
}

// grace is the time between asking the client to end and killing it.
const grace = 5 * time.Second

// loop waits until the client has ended, and passes on the events that concern
// it.
func (s *session) loop() {
	var deadline <-chan time.Time
	end := func(sig syscall.Signal) {
		s.deliver(sig)
		if deadline == nil {
			deadline = time.After(s.grace)
		}
		s.hurry = true
	}
	done := make(chan struct{})
	defer close(done)
	lost := s.grant.watch(done)
	for s.reap(); !s.ended; s.reap() {
		select {
		case s.cut = <-lost:
			s.hurry = true
			s.killAll()
		case sig := <-s.signals:
			switch sig := sig.(syscall.Signal); sig {
			case syscall.SIGWINCH:
				if s.tty {
					_ = sys.CopySize(s.stdin, s.relay.in) // a terminal that is gone says so when it is read
				}
			case syscall.SIGINT, syscall.SIGQUIT: // Ctrl-C may be a key like others
				s.deliver(sig)
			case syscall.SIGTERM, syscall.SIGHUP:
				end(sig)
			}
		case <-s.relay.gone:
			end(syscall.SIGHUP)
		case <-deadline:
			s.kill()
		}
	}
}

// deliver signals the client as its terminal would. Keys go to the foreground
// group, whatever that is now; other signals go to the group that the client
// leads. The client has not been reaped, so the group's number is its own. A
// stopped client has to continue, or it does not get the signal.
func (s *session) deliver(sig syscall.Signal) {
	if s.tty && (sig == syscall.SIGINT || sig == syscall.SIGQUIT) && sys.SignalForeground(s.relay.in, sig) == nil {
		return
	}
	sys.Kill(-s.process.Pid, sig)
	sys.Kill(-s.process.Pid, syscall.SIGCONT)
}

func (s *session) kill() { s.process.Kill() }

// killAll kills the client, its group, and the orphans that were handed to us.
// finish kills the other processes that the client had started.
func (s *session) killAll() {
	sys.Kill(-s.process.Pid, syscall.SIGKILL) // not reaped yet, so the group's number is its own
	s.kill()
	_ = s.sweeper.Sweep() // finish does it again until nothing is left
}

// reap reaps all children that have ended, which are the client and its orphans.
func (s *session) reap() {
	for {
		pid, err := sys.Peek()
		if err != nil || pid == 0 {
			return
		}
		exit, err := sys.Reap(pid)
		if err != nil {
			return
		}
		if pid == s.process.Pid {
			s.exit, s.ended = exit, true
			s.process.Release()
		}
	}
}

// finish waits for the client, ends the processes that it left behind, and
// passes on the last of its output.
func (s *session) finish() int {
	for !s.ended {
		<-s.signals
		s.reap()
	}
	survivors := s.sweep()
	if !survivors {
		s.grant.gone()
	}
	hurry := make(chan os.Signal, 1)
	signal.Notify(hurry, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(hurry)
	if s.hurry {
		hurry <- syscall.SIGTERM
	}
	s.relay.drain(survivors, hurry)
	return s.exit.Code()
}

// sweepBound bounds the wait for processes that the kernel does not let end
// (state D).
const sweepBound = 2 * time.Second

// sweep kills the processes that the client left running, generation by
// generation, and reports whether one survived it.
func (s *session) sweep() (survivors bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(sweepBound); time.Now().Before(end); <-tick.C {
		_ = s.sweeper.Sweep()
		s.reap()
		if alive, err := s.sweeper.Alive(); err == nil && !alive {
			return false
		}
	}
	return true
}
