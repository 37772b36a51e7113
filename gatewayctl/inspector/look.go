// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Bounds of a look.
const (
	maxChildren  = 1 << 15
	maxProcesses = 1 << 16
	maxEnviron   = 8 << 20 // an exec passes on at most 6 MiB (execve(2)); a process can have the kernel show more
)

// answer answers q in this process, which already runs as the inspected user.
func answer(q Question) (a Answer) {
	var err error
	switch {
	case q.Children != nil:
		a.Processes, err = answerChildren(*q.Children)
	case q.Judge != nil:
		a, err = answerJudge(*q.Judge)
	case q.Holders != nil:
		a.Processes, err = answerHolders(*q.Holders)
	default:
		err = errors.New("nothing was asked")
	}
	if err != nil {
		return Answer{Error: err.Error()}
	}
	return a
}

// answerChildren looks at each child of the supervisor. If none is a gateway, a child
// of which only the first thread has ended may be the gateway. The kernel shows
// nothing of such a child, and it may serve.
func answerChildren(q Children) (found []procfs.ID, err error) {
	headless := 0
	look := func(pid int) error {
		session, err := sys.Session(pid) // a cheap look first, because there may be thousands of orphans
		if err == nil && session != pid {
			return nil
		}
		var p procfs.ID
		if err == nil {
			p, err = gateway(pid, q)
		}
		switch {
		case errors.Is(err, errHeadless):
			headless = pid
		case procfs.IsGone(err), errors.Is(err, errOther), errors.Is(err, fsafe.ErrTooLarge): // no supervisor starts a gateway like that
		case err != nil:
			return fmt.Errorf("cannot look at process %d: %w", pid, err)
		case !slices.Contains(found, p): // a child that moves to another thread is listed twice
			found = append(found, p)
		}
		return nil
	}
	pids, err := procfs.Children(q.Of.PID, maxChildren)
	for _, pid := range pids {
		if err == nil {
			err = look(pid)
		}
	}
	if err == nil && len(found) == 0 && headless != 0 {
		err = fmt.Errorf("process %d may be the gateway: %w", headless, errHeadless)
	}
	if err != nil {
		return nil, err
	}
	return found, q.Of.Verify()
}

// Reasons why a child is not a gateway, or cannot be seen to be one.
var (
	errOther    = errors.New("another child")
	errHeadless = errors.New("its first thread has ended and the others live on, so that nothing of it can be seen")
)

// gateway returns pid and its start time if it has the shape of a gateway.
func gateway(pid int, q Children) (p procfs.ID, err error) {
	proc, err := procfs.Open(pid)
	if err != nil {
		return p, err
	}
	defer proc.Close()
	env, err := proc.Environ(maxEnviron)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return p, err
	}
	if err != nil || len(env) == 0 {
		return p, headlessError(pid, q.Of.PID)
	}
	_, token := valueOf(env, q.TokenEnv)
	_, sidecar := valueOf(env, config.SidecarEnv)
	clear(env)
	if !token || sidecar {
		return p, errOther
	}
	k, err := proc.Snapshot()
	if err != nil {
		return p, err
	}
	if k.PPID != q.Of.PID || k.Session != k.PID {
		return p, errOther
	}
	return k.ID(), nil
}

// headlessError returns errHeadless for a child of the supervisor that shows nothing
// any more, and errOther for any other process without a visible environment. A
// process that cannot be traced is not a gateway, because it could not be proved
// either.
func headlessError(pid, supervisor int) error {
	st, err := procfs.ReadStatus(pid)
	switch {
	case err != nil:
		return err
	case st.PPID == supervisor && st.Headless() && st.Only(uint32(os.Getuid())):
		return errHeadless
	}
	return errOther
}

// valueOf returns the value of name as a part of env. Nothing is copied.
func valueOf(env []byte, name string) (value []byte, set bool) {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if value, set = bytes.CutPrefix(v, []byte(name+"=")); set {
			return value, true
		}
	}
	return nil, false
}

// answerJudge looks at the gateway's listeners and token, and asks it. The gateway
// must be the same process afterwards.
func answerJudge(q Judge) (a Answer, err error) {
	same, err := sameNetwork(q.Gateway.PID)
	if err != nil || !same {
		return Answer{Elsewhere: err == nil}, err
	}
	ls, err := sockets.Listeners(q.Job.Port)
	if err != nil {
		return a, err
	}
	if a.Ownership, a.Foreign, err = proof.JudgeHolders(ls, q.Gateway.PID); err != nil {
		return a, err
	}
	a.Beside = proof.IsBeside(ls, a.Foreign)
	env, err := readEnvironment(q)
	defer clear(env)
	if err != nil {
		return a, err
	}
	token, _ := valueOf(env, q.TokenEnv)
	if len(token) > 0 {
		a.Token = fmt.Sprintf("%x", sha256.Sum256(token))
	}
	if q.Job.Deadline != 0 {
		q.Job.PID, q.Job.UID = q.Gateway.PID, uint32(os.Getuid())
		a.Verdict = proof.Work(q.Job, token)
	}
	return a, q.Gateway.Verify()
}

// readEnvironment returns the environment that the gateway was started with, or nil
// if it is not needed.
func readEnvironment(q Judge) ([]byte, error) {
	if q.TokenEnv == "" {
		return nil, nil
	}
	proc, err := procfs.Open(q.Gateway.PID)
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	return proc.Environ(maxEnviron)
}

func sameNetwork(pid int) (bool, error) {
	theirs, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return false, err
	}
	ours, err := os.Stat("/proc/self/ns/net")
	return err == nil && os.SameFile(theirs, ours), err
}

// answerHolders looks at all processes, because an unmanaged gateway may be the
// child of any process.
func answerHolders(q Holders) (found []procfs.ID, err error) {
	ls, err := sockets.Listeners(q.Port)
	if err != nil || len(ls) == 0 {
		return nil, err
	}
	err = procfs.Each(maxProcesses, func(pid int) error {
		p, err := procfs.Identify(pid)
		if err != nil {
			return nil // it has ended
		}
		// A process that cannot be seen is not this user's.
		if has, err := sockets.Holds(pid, ls); err == nil && has && p.Verify() == nil {
			found = append(found, p)
		}
		return nil
	})
	return found, err
}
