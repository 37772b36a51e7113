// SPDX-License-Identifier: Apache-2.0

// Package plain is an init and nothing more, for images without a gateway. Like
// tini it starts one command, forwards signals to it, reaps, and ends with its exit
// code.
//
// It is one goroutine on one thread. The handler of package forward forwards
// signals, and the loop sleeps in waitid(2).
package plain

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/init/plain/entry"
	"github.com/gateway-init/gateway-init/init/plain/forward"
	"github.com/gateway-init/gateway-init/init/plain/vfork"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/program"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/internal/version"
)

// Exit codes of tini and of every shell.
const (
	codeFailed        = 1
	codeNotExecutable = 126
	codeNotFound      = 127
)

// Refuse prints the error of a command line that Parse refused, and returns the
// exit code.
func Refuse(err error) int {
	reporter{1}.say(0, "error", "%v (gateway-init -h)", err)
	return codeFailed
}

// initProcess holds the state that the steps share.
type initProcess struct {
	Options
	reporter
	child    int
	terminal terminal
	asked    [forward.Last + 1]bool // signals that we forwarded since they last stopped the command
}

// Run runs gateway-init in plain mode and returns the exit code. env is the
// environment for the command.
func Run(o Options, env []string) int {
	switch o.Action {
	case showHelp:
		return show(usage)
	case showVersion:
		return show("gateway-init " + version.String + "\n")
	case showLicense:
		return show(license)
	}
	runtime.LockOSThread() // parent-death signal, timer and masks belong to the thread
	p := &initProcess{Options: o, reporter: reporter{o.Verbosity}}
	code, err := p.run(env)
	if err != nil {
		p.say(0, "error", "%v", err)
	}
	return code
}

func show(text string) int {
	if _, err := os.Stdout.WriteString(text); err != nil {
		return codeFailed
	}
	return 0
}

func (p *initProcess) run(env []string) (int, error) {
	state, noted := entry.Noted()
	// Take comes before anything that takes time, because until then the runtime's
	// handlers are there.
	forward.Take(func(sig int) uint8 { return p.Rewrite[sig] }, leave)
	if err := p.prepare(); err != nil {
		return codeFailed, err
	}
	c := vfork.Child{Argv: p.Command, Env: env, Mask: state.Mask, Ignored: state.Ignored, DropCaps: p.DropCaps}
	if noted {
		c.Nofile = &unix.Rlimit{Cur: state.Nofile[0], Max: state.Nofile[1]}
	}
	if p.User != "" {
		if err := p.become(&c); err != nil {
			return codeFailed, err
		}
	}
	p.terminal = openTerminal()
	c.Terminal = p.terminal.forChild()

	pid, err := vfork.Start(c)
	if err != nil {
		p.terminal.giveBack()
		return exitCode(err), p.explain(err, c)
	}
	p.child = pid
	forward.To(pid, p.Group)
	new(sys.Trimmer).Trim() // the command may run for months, and little of our program is used then
	p.say(2, "info", "started %q as process %d", p.Command[0], pid)
	code, err := p.wait()
	if err != nil {
		return codeFailed, err
	}
	p.terminal.giveBack()
	p.endOthers()
	if p.Success[code] {
		p.say(2, "info", "exit code %d becomes 0 (-e)", code)
		code = 0
	}
	return code, nil
}

// prepare sets up this process as tini does.
func (p *initProcess) prepare() error {
	if p.ParentDeath != 0 {
		if err := sys.SetParentDeath(p.ParentDeath); err != nil {
			return fmt.Errorf("cannot get %s when our parent ends: %w", signalName(int(p.ParentDeath)), err)
		}
	}
	if p.Grace >= 0 && os.Getpid() != 1 { // or the other processes would not be our children
		p.Subreaper = true
		if err := procfs.Check(); err != nil {
			return fmt.Errorf("cannot use /proc, which --grace needs here: %w: mount procfs there in this PID namespace, or start without --grace", err)
		}
	}
	if p.Subreaper {
		if err := sys.SetSubreaper(); err != nil {
			return fmt.Errorf("cannot become a subreaper: %w: the kernel is older than 3.4", err)
		}
	}
	if os.Getpid() != 1 && !p.Subreaper && !sys.Subreaper() {
		p.say(1, "warning", "neither PID 1 nor a subreaper: orphans go to another init and are not reaped here: "+
			"use -s, set TINI_SUBREAPER, or run as PID 1")
	}
	return nil
}

// leave reports whether a signal belongs to the kernel.
func leave(sig int) bool { return sig == int(unix.SIGKILL) || sig == int(unix.SIGSTOP) }

// explain returns the line for an error of vfork.Start.
func (p *initProcess) explain(err error, c vfork.Child) error {
	var failed *vfork.Error
	switch {
	case !errors.As(err, &failed):
	case failed.Errno == unix.E2BIG:
		err = fmt.Errorf("%w: %s", err, sys.ExecSize(c.Argv, c.Env))
	case failed.Step == "exec":
		if why := explainProgram(p.Command[0], failed); why != "" {
			err = fmt.Errorf("%w: %s", err, why)
		}
	case failed.BecomesUser():
		u := users.User{Name: p.User, UID: c.User.UID, GID: c.User.GID, Groups: c.User.Groups}
		if why := users.CheckMapped(u); why != nil {
			return fmt.Errorf("--user: %w", why)
		}
		return fmt.Errorf("cannot become %.64q (--user): %w: run the container as root with the capabilities SETUID and SETGID, or as %d:%d", p.User, err, c.User.UID, c.User.GID)
	}
	return fmt.Errorf("cannot run %.256q: %w", p.Command[0], err)
}

// explainProgram returns why the kernel executed no file for the name, or "".
func explainProgram(name string, failed *vfork.Error) string {
	for _, path := range failed.Paths {
		if why := program.Explain(path, failed.Errno, false); why != "" {
			return why
		}
	}
	if failed.Errno == unix.ENOENT {
		return program.Missing(name)
	}
	return ""
}

// exitCode returns the code that a shell would end with.
func exitCode(err error) int {
	var failed *vfork.Error
	switch {
	case !errors.As(err, &failed) || failed.Step != "exec":
	case failed.Errno == unix.ENOENT:
		return codeNotFound
	default:
		return codeNotExecutable
	}
	return codeFailed
}

// wait runs the loop until the command has ended, and returns its exit code.
func (p *initProcess) wait() (int, error) {
	for {
		e, err := sys.Wait(p.terminal.is)
		p.forwarded()
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD: our child was reaped elsewhere, and we cannot go on
			return 0, fmt.Errorf("cannot wait for %q: %w", p.Command[0], err)
		case e.PID != p.child:
			p.orphan(e)
		case e.Stop != 0:
			p.stopped(e.Stop)
		default:
			forward.Hold()
			p.say(2, "info", "%q ended with code %d", p.Command[0], e.Code)
			return e.Code, nil
		}
	}
}

func (p *initProcess) orphan(e sys.Event) {
	switch {
	case e.Stop != 0: // we do not continue an orphan
	case p.WarnReaped:
		p.say(1, "warning", "reaped orphan %d, code %d", e.PID, e.Code)
	default:
		p.say(3, "debug", "reaped orphan %d, code %d", e.PID, e.Code)
	}
}
