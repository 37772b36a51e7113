// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// confine gives up, in every thread, all rights that neither this process nor
// the client needs. Afterwards an exec gains nothing. Rights that the engine did
// not let us give up are a note, as at boot of PID 1. Without no_new_privs
// nothing is started.
func (p *Plan) confine() error {
	const needed = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL
	privs.Drop(privs.Needed)
	have, err := privs.Read()
	switch {
	case err != nil:
		return err
	case have.Effective&needed != needed:
		return errors.New("cannot start a client: this exec has not SETUID, SETGID and KILL: for the container, " + advice.CapAdd("SETUID", "SETGID", "KILL"))
	case !have.NoNewPrivs || have.Dumpable:
		return errors.New("cannot start a client: the kernel lets this process gain rights or be read")
	}
	if have.Bounding|have.Inheritable|have.Ambient != 0 {
		p.Notes = append(p.Notes, "the bounding set is not empty (no SETPCAP); no_new_privs stands in for it")
	}
	return nil
}

// keepOnly gives up further rights after the fork. KILL stays for ending the
// client, by us and by the kernel when we die (a parent-death signal is sent
// with the rights of the parent). SETUID and SETGID stay only for removing a
// temporary home.
func keepOnly(temporaryHome bool) error {
	set := uint64(1 << unix.CAP_KILL)
	if temporaryHome {
		set |= 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	}
	return sys.SetCaps(set)
}

// start forks the client. The caller has locked its thread and keeps it until
// the client has ended, because the parent-death signal is bound to the thread
// that forked (golang #27505).
func (p *Plan) start(h *home, g Grant, files [3]*os.File) (*os.Process, error) {
	env := p.environment(h)
	if g.Token != nil {
		// A string cannot be wiped, and neither can Go's copy of it for
		// execve(2). Both are garbage from here on, in a process that no other
		// process can read.
		env = append(env, p.TokenEnv+"="+string(g.Token.Bytes()))
	}
	dir := p.Dir
	if dir == "" {
		dir = h.path
	}
	restore, err := setInherited()
	if err != nil {
		return nil, err
	}
	if err := g.check(); err != nil {
		return nil, errors.Join(err, restore())
	}
	process, err := os.StartProcess(p.path, p.Argv, &os.ProcAttr{
		Dir: dir, Env: env, Files: files[:],
		Sys: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: p.User.UID, Gid: p.User.GID, Groups: p.User.Groups},
			Setsid:     true, Setctty: p.TTY, Ctty: 0,
			Pdeathsig: syscall.SIGKILL,
		},
	})
	// The child changes its uid while it shares our memory, and the kernel sets
	// dumpable of both to a sysctl's value.
	if err := errors.Join(restore(), sys.SetDumpable(false)); err != nil && process != nil {
		process.Kill()
		process.Wait()
		return nil, err
	}
	if err != nil {
		return nil, execError(p.Argv[0], err)
	}
	return process, nil
}

// setInherited sets the attributes that fork(2) and execve(2) pass on to a child.
// It returns a function that undoes those that are not meant for this process.
func setInherited() (restore func() error, err error) {
	syscall.Umask(0o077)
	sys.CloseOnExecFrom(3)
	if err := sys.CleanSignals(); err != nil {
		return nil, err
	}
	before, err := sys.OOMScore()
	if err == nil {
		err = raiseOOMScore(before)
	}
	if err != nil { // a read-only /proc is no reason to fail
		return func() error { return nil }, nil
	}
	return func() error { return sys.SetOOMScore(before) }, nil
}

// raiseOOMScore sets the agent's score, so that without memory the kernel ends a client
// before the gateway.
func raiseOOMScore(before string) error {
	var now int
	if _, err := fmt.Sscan(before, &now); err != nil {
		return err
	}
	_, agent := policy.OOMScores(now)
	return sys.SetOOMScore(strconv.Itoa(agent))
}
