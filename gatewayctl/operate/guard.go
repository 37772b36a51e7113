// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	"github.com/gateway-init/gateway-init/internal/clientlock"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// Guard holds two things that a client needs besides the token: the lock by
// which PID 1 knows of the client, and a pidfd of the gateway that was found to
// serve.
type Guard struct {
	Record status.Record

	local   *Local
	lock    *os.File
	gateway *os.File    // a pidfd
	used    bool        // a client was started, or is about to be
	warn    func(error) // the token may be known, and nothing says so
}

// NotServedError says why a client may not run with the token.
type NotServedError struct{ Verdict }

func (e *NotServedError) Error() string { return fmt.Sprintf("%s: %s", e.Reason, e.Detail) }

// Guard takes the lock, then checks as health does whether the gateway
// serves, then opens a pidfd of its process. The lock comes first. If the
// gateway ends at any time after the check, PID 1 finds the lock held and mints
// a new token for the next gateway. The caller closes the Guard. It calls warn if it
// cannot note that the token may be known.
func (l *Local) Guard(warn func(error)) (_ *Guard, err error) {
	dir, err := l.OpenRuntime()
	if err != nil {
		return nil, &NotServedError{UnreadableVerdict(err)}
	}
	defer dir.Close()
	g := &Guard{local: l, warn: warn}
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	lock, lockErr := clientlock.Hold(dir, l.Owner)
	g.lock = lock // nil is not closed
	v := l.lookAt(dir)
	switch {
	case v.Code == ExitNoSupervisor: // its lock may be missing for the same reason
		return nil, &NotServedError{v.Verdict}
	case lockErr != nil && (v.Record == nil || v.Record.Gateway.Enabled): // --no-gateway makes no lock
		return nil, &NotServedError{Verdict{Code: ExitFailed, Reason: reason.Internal, Detail: lockErr.Error(),
			Hint: "PID 1 makes that file when the container starts: restart the container"}}
	case !v.Serving:
		return nil, &NotServedError{v.Verdict}
	}
	g.Record = *v.Record
	if g.gateway, err = l.Hold(g.Record.Gateway.Process); err != nil {
		return nil, g.lost(err)
	}
	return g, nil
}

// lost returns the error for a client whose gateway could not be held.
func (g *Guard) lost(err error) error {
	r := reason.Unproven
	switch {
	case procfs.IsGone(err), errors.Is(err, procfs.ErrReplaced):
		r, err = reason.IdentityChanged, fmt.Errorf("pid %d is not the gateway any more: %w", g.Record.Gateway.PID, err)
	case errors.Is(err, procfs.ErrNoPidfd): // no fallback: between two looks a client could outlive its gateway
		err = fmt.Errorf("cannot watch the gateway, and a client with the token must end with it: %w", err)
	}
	return &NotServedError{NotServingVerdict(r, err.Error())}
}

// check is the last check before the fork. It verifies that only the gateway
// listens on its port, that a connection leads to the gateway, and then that the gateway
// has not ended.
func (g *Guard) check() error {
	if err := g.listening(); err != nil {
		return err
	}
	if err := g.connects(); err != nil {
		return err
	}
	ended, err := sys.Ended(int(g.gateway.Fd()), 0)
	runtime.KeepAlive(g.gateway)
	if err == nil && ended {
		err = procfs.ErrGone
	}
	if err != nil {
		return g.lost(err)
	}
	g.used = true
	return nil
}

// listening verifies that the sockets which a client can reach are the gateway's, or those
// of the published port. Which other sockets the gateway's own port has does not matter if
// clients use the published one.
func (g *Guard) listening() error {
	c := Check{Result: status.Held}
	if !isHeld(&g.Record) {
		c = g.local.checkListener(&g.Record)
	}
	if p := g.Record.Publish; c.Result == status.Held && p != nil {
		c = g.local.checkPublish(&g.Record)
	}
	if c.Result == status.Held {
		return nil
	}
	if c.Reason == "" {
		c.Reason = reason.Unproven
	}
	return &NotServedError{NotServingVerdict(c.Reason, c.Detail)}
}

// again is the check while the client runs. A gateway may close its listener for
// a moment, as one does that restarts in its own process. So a listener of
// another uid ends the client, and a missing listener does not. Each failed
// check leaves a mark, because the client may connect to another process before
// or after the check. If the gateway has ended, the lock is enough.
func (g *Guard) again() error {
	err := g.listening()
	if err != nil && g.lives() {
		g.mark()
	}
	if e := (*NotServedError)(nil); errors.As(err, &e) && e.Reason == reason.ListenerMissing {
		return nil
	}
	return err
}

// mark makes the next gateway get a new token. If the mark cannot be left, mark
// only warns; that does not let the client go on.
func (g *Guard) mark() {
	if err := clientlock.Mark(g.lock); err != nil {
		g.warn(err)
	}
}

// Grant returns the Grant that the client runs with.
func (g *Guard) Grant(secret *tokenfile.Secret) client.Grant {
	return client.Grant{Token: secret, Gateway: g.gateway, Gone: g.release, Check: g.check, Again: g.again}
}

// release frees the lock when the client is gone. If the gateway lives but does
// not have its port, the client may have sent the token to another process, so
// release leaves a mark. (A process that ends closes its sockets before its
// pidfd is readable.) If the gateway has ended, PID 1 finds the lock held, so
// release keeps the lock until PID 1 has tested it. A mark would come too late
// then, and would cost the next gateway its token.
func (g *Guard) release() {
	missing := g.listening()
	if alive := g.lives(); alive && missing != nil || !alive && !g.noted() {
		g.mark()
	}
	g.lock.Close()
	g.lock = nil
}

// noteLimit is how long noted waits for PID 1; noteEvery is how often it looks.
const (
	noteLimit = 2 * time.Second
	noteEvery = 10 * time.Millisecond
)

// noted reports whether PID 1 notices the gateway's end in time. PID 1 does so
// right after it has tested the lock; then its record names another gateway or
// none. noted also returns true if PID 1 is gone.
func (g *Guard) noted() bool {
	for end := time.Now().Add(noteLimit); time.Now().Before(end); time.Sleep(noteEvery) {
		dir, err := g.local.OpenRuntime()
		if err != nil {
			return errors.Is(err, fs.ErrNotExist)
		}
		r, err := status.Read(dir, g.local.Owner)
		dir.Close()
		switch { // a record that cannot be read may be one that is being replaced
		case errors.Is(err, fs.ErrNotExist):
			return true
		case err == nil && (r.Gateway.Process != g.Record.Gateway.Process || g.local.checkSupervisor(&r).Result == status.Failed):
			return true
		}
	}
	return false
}

func (g *Guard) lives() bool {
	ended, err := sys.Ended(int(g.gateway.Fd()), 0)
	runtime.KeepAlive(g.gateway)
	return err == nil && !ended
}

// Close frees the lock and the pidfd. A client that was started and not released
// left a process behind, so Close leaves a mark.
func (g *Guard) Close() {
	if g.lock != nil && g.used {
		g.mark()
	}
	for _, f := range []*os.File{g.lock, g.gateway} {
		if f != nil {
			f.Close()
		}
	}
}
