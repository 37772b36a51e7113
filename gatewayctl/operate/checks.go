// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// Names of the checks, in the order they are printed (docs/status.md).
const (
	CheckSupervisor = "supervisor"
	CheckControl    = "control"
	CheckGateway    = "gateway"
	CheckGatewayUID = "gateway_uid"
	CheckListener   = "listener"
	CheckTokenFile  = "token_file"
)

// Check is one fact that this program has checked itself. Result is held, failed
// or not-available.
type Check struct {
	Name   string
	Result string
	Detail string
	Reason reason.Reason // of a failed check; "" means no supervisor
	Public bool          // of the listener: it takes connections from other hosts
}

// Checks are all checks, in order.
type Checks []Check

// Get returns the check of the name, which is not-available if it was not made.
func (cs Checks) Get(name string) Check {
	for _, c := range cs {
		if c.Name == name {
			return c
		}
	}
	return Check{Name: name, Result: status.NotAvailable}
}

// verify checks the record against the kernel. dir is the runtime directory.
func (l *Local) verify(dir *os.File, r *status.Record) Checks {
	cs := Checks{l.checkSupervisor(r), l.checkControl(dir)}
	if r.Gateway.PID != 0 {
		cs = append(cs, l.checkGateway(dir, r)...)
		cs = append(cs, l.checkListener(r))
	} else {
		for _, name := range []string{CheckGateway, CheckGatewayUID, CheckListener} {
			cs = append(cs, Check{Name: name, Result: status.NotAvailable, Detail: "no gateway runs"})
		}
	}
	if r.Publish != nil {
		cs = append(cs, l.checkPublish(r))
	}
	return append(cs, l.checkToken(dir, r))
}

// PassCheck returns a check that held.
func PassCheck(name, format string, args ...any) Check {
	return Check{Name: name, Result: status.Held, Detail: fmt.Sprintf(format, args...)}
}

// skipCheck returns a check that could not be made.
func skipCheck(name string, err error) Check {
	return Check{Name: name, Result: status.NotAvailable, Detail: err.Error()}
}

// FailCheck returns a check that failed. why may be "".
func FailCheck(name string, why reason.Reason, format string, args ...any) Check {
	return Check{Name: name, Result: status.Failed, Reason: why, Detail: fmt.Sprintf(format, args...)}
}

// checkSupervisor checks that the process that wrote the record lives.
func (l *Local) checkSupervisor(r *status.Record) Check {
	err := l.Process(r.Init)
	switch {
	case err == nil:
		return PassCheck(CheckSupervisor, "pid %d is the process that wrote the record", r.Init.PID)
	case errors.Is(err, procfs.ErrGone), errors.Is(err, procfs.ErrReplaced):
		return FailCheck(CheckSupervisor, "", "pid %d did not write this record: %v", r.Init.PID, err)
	}
	return skipCheck(CheckSupervisor, err)
}

func (l *Local) checkControl(dir *os.File) Check {
	c := control.NewClient(dir)
	c.Owner = l.Owner
	f, err := c.OpenFIFO()
	switch {
	case err == nil:
		f.Close()
		return PassCheck(CheckControl, "the request FIFO is PID 1's and is read")
	case errors.Is(err, unix.ENXIO):
		return FailCheck(CheckControl, "", "no process reads the request FIFO")
	case errors.Is(err, fs.ErrNotExist):
		return FailCheck(CheckControl, reason.Internal, "the request FIFO is missing")
	case errors.Is(err, fsafe.ErrUnsafe):
		return FailCheck(CheckControl, reason.Internal, "%v", err)
	}
	return skipCheck(CheckControl, err)
}

// checkGateway verifies the start time of the pid before and after it reads the
// uids, so the pid cannot have been recycled in between.
func (l *Local) checkGateway(dir *os.File, r *status.Record) []Check {
	g := r.Gateway
	gone := func(err error) []Check {
		c := skipCheck(CheckGateway, err)
		if errors.Is(err, procfs.ErrGone) || errors.Is(err, procfs.ErrReplaced) {
			c = FailCheck(CheckGateway, reason.IdentityChanged, "pid %d is not the gateway any more: %v", g.PID, err)
			if isFull(dir) {
				c = FailCheck(CheckGateway, reason.Unproven, "pid %d is gone, and the record of %s may be old, because %s is full: make room there",
					g.PID, r.UpdatedAt.UTC().Format(time.RFC3339), dir.Name())
			}
		}
		return []Check{c, {Name: CheckGatewayUID, Result: status.NotAvailable, Detail: "the process is not certain"}}
	}
	if err := l.Process(g.Process); err != nil {
		return gone(err)
	}
	p, err := l.UIDs(g.PID)
	if again := l.Process(g.Process); again != nil {
		return gone(again)
	}
	alive := PassCheck(CheckGateway, "pid %d is alive with the recorded start time", g.PID)
	switch {
	case err != nil:
		return []Check{alive, skipCheck(CheckGatewayUID, err)}
	case p.Ended():
		return gone(fmt.Errorf("%w: it has ended and waits to be reaped", procfs.ErrGone))
	case !p.Only(g.UID):
		return []Check{alive, FailCheck(CheckGatewayUID, reason.IdentityChanged,
			"runs with uids %v, not only %d", p.UIDs, g.UID)}
	}
	return []Check{alive, PassCheck(CheckGatewayUID, "all its uids are %d", g.UID)}
}

// isFull reports whether the file system of dir has no space for another record. PID 1
// keeps some in reserve, which may be too little.
func isFull(dir *os.File) bool {
	const page = 4 << 10
	free, total, err := sys.Space(dir)
	return err == nil && total > 0 && free < page
}

// checkListener checks that every socket that listens on the port, in both
// families, belongs to the gateway's uid. Without separate uids the gateway or
// one of its descendants must have the socket open.
func (l *Local) checkListener(r *status.Record) Check {
	g := r.Gateway
	ls, err := l.Listeners(g.Port)
	owner, foreign := judgeListeners(r, ls)
	if err != nil && !(errors.Is(err, sockets.ErrMany) && owner == proof.Foreign) {
		return skipCheck(CheckListener, err)
	}
	if r.Separation == status.SeparationNone && !isPassed(r) {
		if g.GID != l.EGID { // an exec with a uid alone (ptrace(2), PTRACE_MODE_READ_FSCREDS)
			return skipCheck(CheckListener, fmt.Errorf("the kernel hides the gateway's descriptors from group %d: docker exec -u %d:%d CONTAINER", l.EGID, g.UID, g.GID))
		}
		if owner, foreign, err = l.Held(ls, g.PID); err != nil {
			return skipCheck(CheckListener, err)
		}
		if again := l.Process(g.Process); again != nil { // the descriptors that were read must be the gateway's
			return skipCheck(CheckListener, again)
		}
	}
	switch owner {
	case proof.Ours:
		c := PassCheck(CheckListener, "%s", names(ls))
		c.Public = slices.ContainsFunc(ls, func(l sockets.Listener) bool { return !l.Addr.Addr().Unmap().IsLoopback() })
		return c
	case proof.Missing:
		return FailCheck(CheckListener, reason.ListenerMissing, "no process listens on port %d", g.Port)
	default:
		return FailCheck(CheckListener, reason.ListenerForeign, "%s", names(foreign))
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
func (l *Local) checkToken(dir *os.File, r *status.Record) Check {
	t := r.Token
	if t.Inode == 0 {
		return Check{Name: CheckTokenFile, Result: status.NotAvailable, Detail: "no token was minted"}
	}
	f, err := fsafe.OpenAt(dir, tokenfile.Name, unix.O_PATH)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return FailCheck(CheckTokenFile, reason.TokenChanged, "%s is missing", t.Path)
	case err != nil:
		return skipCheck(CheckTokenFile, err)
	}
	defer f.Close()
	want := fsafe.Want{Type: fsafe.Regular, UID: &t.UID, GID: &t.GID, Mode: fsafe.Mode(0o400), Links: 1}
	info, err := fsafe.Verify(f, want)
	switch {
	case errors.Is(err, fsafe.ErrUnsafe):
		return FailCheck(CheckTokenFile, reason.TokenChanged, "%v", err)
	case err != nil:
		return skipCheck(CheckTokenFile, err)
	case info.Dev != t.Dev || info.Ino != t.Inode:
		return FailCheck(CheckTokenFile, reason.TokenChanged, "%s is another file than the one PID 1 installed", t.Path)
	case info.Size != tokenfile.Len:
		return FailCheck(CheckTokenFile, reason.TokenChanged, "%s has %d bytes, not %d", t.Path, info.Size, tokenfile.Len)
	}
	return PassCheck(CheckTokenFile, "the file PID 1 installed, 0400, owner %d", t.UID)
}
