// SPDX-License-Identifier: Apache-2.0

package external

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// user is the user of processes that we look at. Root in a container has no
// CAP_SYS_PTRACE, so the kernel shows the environment, the descriptors and the namespaces
// of another user's processes only to a thread with that user's effective ids (sys.AsUser).
type user struct{ uid, gid uint32 }

// as returns what f returns, which runs with the ids of u, in the network namespace
// network unless that is nil. f must not share its variables, because as does not wait for
// it longer than ctx.
func as[T any](ctx context.Context, u user, network *os.File, f func() (T, error)) (value T, err error) {
	var shared T
	err = sys.AsUser(ctx, u.uid, u.gid, network, func() (err error) {
		if shared, err = f(); errors.Is(err, fs.ErrPermission) {
			err = errors.New(err.Error()) // it is not root who lacks a right
		}
		return err
	})
	if err == nil {
		value = shared
	}
	return value, err
}

// maxEnviron bounds an environment. An exec passes on at most 6 MiB (execve(2)); a process
// can have the kernel show more.
const maxEnviron = 8 << 20

// valueOf returns the value of name as a part of env. Nothing is copied.
func valueOf(env []byte, name string) (value []byte, set bool) {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if value, set = bytes.CutPrefix(v, []byte(name+"=")); set {
			return value, true
		}
	}
	return nil, false
}

// environ returns the environment that the process was started with. It is empty if the
// process cannot be traced, or has no memory any more. The caller clears it.
func (u user) environ(ctx context.Context, p *procfs.Held) ([]byte, error) {
	return as(ctx, u, nil, func() ([]byte, error) {
		env, err := p.Environ(maxEnviron)
		if errors.Is(err, fs.ErrPermission) {
			err = nil
		}
		return env, err
	})
}

// Judgment is what was found out about a gateway's listeners and answers.
type Judgment struct {
	Ownership proof.Ownership
	Foreign   []sockets.Listener
	Verdict   proof.Verdict
	Port      uint16 // of the job, or the one that the gateway listens on
	beside    bool   // a foreign listener is beside one of the gateway
}

// judge finds out in p's network namespace whether p, or a process that descends from it,
// holds all listeners of the job's port, and whether it answers there as the job says. A
// job without a deadline asks nothing. A job without a port is about the one on which the
// process listens, because each start of the gateway has another one. The token for the job's Auth is the value of
// tokenEnv, unless that is "", in p's first environment. p is the same process afterwards.
func (u user) judge(ctx context.Context, p *procfs.Held, job proof.Job, tokenEnv string) (Judgment, error) {
	network, err := as(ctx, u, nil, func() (*os.File, error) { return otherNetwork(p) })
	if err != nil {
		return Judgment{}, err
	}
	defer network.Close() // nil is not closed
	return as(ctx, u, network, func() (a Judgment, err error) {
		ls, err := listeners(job.Port, p.PID, u.uid)
		if err != nil {
			return a, err
		}
		if job.Port == 0 {
			job.Port = proof.Address(ls).Port()
		}
		a.Port = job.Port
		if a.Ownership, a.Foreign, err = proof.JudgeHolders(ls, p.PID); err != nil {
			return a, err
		}
		a.beside = proof.IsBeside(ls, a.Foreign)
		var token []byte
		if tokenEnv != "" {
			env, err := p.Environ(maxEnviron)
			defer clear(env)
			if err != nil {
				return a, err
			}
			token, _ = valueOf(env, tokenEnv)
		}
		if job.Deadline != 0 {
			job.PID, job.UID = p.PID, u.uid
			a.Verdict, _ = proof.Work(job, token)
		}
		return a, p.ID().Verify()
	})
}

// listeners returns the listeners on the port. Without a port it returns those that the
// process pid, or one of its descendants, has open.
func listeners(port uint16, pid int, uid uint32) ([]sockets.Listener, error) {
	if port != 0 {
		return sockets.Listeners(port)
	}
	ls, err := sockets.ListenersOf(uid)
	if err != nil {
		return nil, err
	}
	unheld, err := sockets.ListUnheld(ls, pid)
	return slices.DeleteFunc(ls, func(l sockets.Listener) bool { return slices.Contains(unheld, l) }), err
}

// otherNetwork returns p's network namespace, or nil if it is the one of this thread.
func otherNetwork(p *procfs.Held) (*os.File, error) {
	f, err := p.Network()
	if err != nil {
		return nil, err
	}
	theirs, err := f.Stat()
	ours, errOurs := os.Stat("/proc/thread-self/ns/net")
	if err = errors.Join(err, errOurs); err == nil && !os.SameFile(theirs, ours) {
		return f, nil
	}
	f.Close()
	return nil, err
}
