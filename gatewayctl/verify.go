// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
	"github.com/gateway-init/gateway-init/tokenfile"
)

const controlDir = control.Dir

// Names of the checks, in the order they are printed (docs/status.md).
const (
	checkSupervisor = "supervisor"
	checkControl    = "control"
	checkGateway    = "gateway"
	checkGatewayUID = "gateway_uid"
	checkListener   = "listener"
	checkTokenFile  = "token_file"
)

// check is one fact that this program has checked itself. Result is held, failed
// or not-available.
type check struct {
	name   string
	result string
	detail string
	reason reason.Reason // of a failed check; "" means no supervisor
}

// checks are all checks, in order.
type checks []check

func (cs checks) get(name string) check {
	for _, c := range cs {
		if c.name == name {
			return c
		}
	}
	return check{name: name, result: status.NotAvailable}
}

// verify checks the record against the kernel. dir is the runtime directory.
func (a *app) verify(dir *os.File, r *status.Record) checks {
	cs := checks{a.checkSupervisor(r), a.checkControl(dir)}
	if r.Gateway.PID != 0 {
		cs = append(cs, a.checkGateway(r)...)
		cs = append(cs, a.checkListener(r))
	} else {
		for _, name := range []string{checkGateway, checkGatewayUID, checkListener} {
			cs = append(cs, check{name: name, result: status.NotAvailable, detail: "no gateway runs"})
		}
	}
	return append(cs, a.checkToken(dir, r))
}

func checkHeld(name, format string, args ...any) check {
	return check{name: name, result: status.Held, detail: fmt.Sprintf(format, args...)}
}

func checkUnavailable(name string, err error) check {
	return check{name: name, result: status.NotAvailable, detail: err.Error()}
}

func checkFailed(name string, why reason.Reason, format string, args ...any) check {
	return check{name: name, result: status.Failed, reason: why, detail: fmt.Sprintf(format, args...)}
}

func (a *app) checkSupervisor(r *status.Record) check {
	err := a.process(r.Init)
	switch {
	case err == nil:
		return checkHeld(checkSupervisor, "pid %d is the process that wrote the record", r.Init.PID)
	case errors.Is(err, procfs.ErrGone), errors.Is(err, procfs.ErrReplaced):
		return checkFailed(checkSupervisor, "", "pid %d did not write this record: %v", r.Init.PID, err)
	}
	return checkUnavailable(checkSupervisor, err)
}

func (a *app) checkControl(dir *os.File) check {
	c := control.NewClient(dir)
	c.Owner = a.owner
	f, err := c.OpenFIFO()
	switch {
	case err == nil:
		f.Close()
		return checkHeld(checkControl, "the request FIFO is PID 1's and is read")
	case errors.Is(err, unix.ENXIO):
		return checkFailed(checkControl, "", "no process reads the request FIFO")
	case errors.Is(err, fs.ErrNotExist):
		return checkFailed(checkControl, reason.Internal, "the request FIFO is missing")
	case errors.Is(err, fsafe.ErrUnsafe):
		return checkFailed(checkControl, reason.Internal, "%v", err)
	}
	return checkUnavailable(checkControl, err)
}

// checkGateway verifies the start time of the pid before and after it reads the
// uids, so the pid cannot have been recycled in between.
func (a *app) checkGateway(r *status.Record) []check {
	g := r.Gateway
	gone := func(err error) []check {
		c := checkUnavailable(checkGateway, err)
		if errors.Is(err, procfs.ErrGone) || errors.Is(err, procfs.ErrReplaced) {
			c = checkFailed(checkGateway, reason.IdentityChanged, "pid %d is not the gateway any more: %v", g.PID, err)
		}
		return []check{c, {name: checkGatewayUID, result: status.NotAvailable, detail: "the process is not certain"}}
	}
	if err := a.process(g.Process); err != nil {
		return gone(err)
	}
	p, err := a.uids(g.PID)
	if again := a.process(g.Process); again != nil {
		return gone(again)
	}
	alive := checkHeld(checkGateway, "pid %d is alive with the recorded start time", g.PID)
	switch {
	case err != nil:
		return []check{alive, checkUnavailable(checkGatewayUID, err)}
	case p.Ended():
		return gone(fmt.Errorf("%w: it has ended and waits to be reaped", procfs.ErrGone))
	case !p.Only(g.UID):
		return []check{alive, checkFailed(checkGatewayUID, reason.IdentityChanged,
			"runs with uids %v, not only %d", p.UIDs, g.UID)}
	}
	return []check{alive, checkHeld(checkGatewayUID, "all its uids are %d", g.UID)}
}

// checkListener checks that every socket that listens on the port, in both
// families, belongs to the gateway's uid. Without separate uids the gateway or
// one of its descendants must have the socket open.
func (a *app) checkListener(r *status.Record) check {
	g := r.Gateway
	ls, err := a.listeners(g.Port)
	if err != nil {
		return checkUnavailable(checkListener, err)
	}
	owner, foreign := proof.Judge(ls, g.UID)
	if r.Separation == status.SeparationNone {
		if owner, foreign, err = a.held(ls, g.PID); err != nil {
			return checkUnavailable(checkListener, err)
		}
		if again := a.process(g.Process); again != nil { // the descriptors that were read must be the gateway's
			return checkUnavailable(checkListener, again)
		}
	}
	switch owner {
	case proof.Ours:
		return checkHeld(checkListener, "%s", names(ls))
	case proof.Missing:
		return checkFailed(checkListener, reason.ListenerMissing, "no process listens on port %d", g.Port)
	default:
		return checkFailed(checkListener, reason.ListenerForeign, "%s", names(foreign))
	}
}

// names returns addresses and owners. It does not list all, because any user can
// bind many.
func names(ls []sockets.Listener) string {
	var b strings.Builder
	for i, l := range ls {
		if i == 4 {
			fmt.Fprintf(&b, ", %d more", len(ls)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s of uid %d", l.Addr, l.UID)
	}
	return b.String()
}

// checkToken compares the file with the one that PID 1 installed. It uses an
// O_PATH descriptor, so it never reads the content.
func (a *app) checkToken(dir *os.File, r *status.Record) check {
	t := r.Token
	if t.Inode == 0 {
		return check{name: checkTokenFile, result: status.NotAvailable, detail: "no token was minted"}
	}
	f, err := fsafe.OpenAt(dir, tokenfile.Name, unix.O_PATH)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkFailed(checkTokenFile, reason.TokenChanged, "%s is missing", t.Path)
	case err != nil:
		return checkUnavailable(checkTokenFile, err)
	}
	defer f.Close()
	want := fsafe.Want{Type: fsafe.Regular, UID: &t.UID, GID: &t.GID, Mode: fsafe.Mode(0o400), Links: 1}
	info, err := fsafe.Verify(f, want)
	switch {
	case errors.Is(err, fsafe.ErrUnsafe):
		return checkFailed(checkTokenFile, reason.TokenChanged, "%v", err)
	case err != nil:
		return checkUnavailable(checkTokenFile, err)
	case info.Dev != t.Dev || info.Ino != t.Inode:
		return checkFailed(checkTokenFile, reason.TokenChanged, "%s is another file than the one PID 1 installed", t.Path)
	case info.Size != tokenfile.Len:
		return checkFailed(checkTokenFile, reason.TokenChanged, "%s has %d bytes, not %d", t.Path, info.Size, tokenfile.Len)
	}
	return checkHeld(checkTokenFile, "the file PID 1 installed, 0400, owner %d", t.UID)
}
