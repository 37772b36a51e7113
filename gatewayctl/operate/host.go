// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
	"github.com/gateway-init/gateway-init/supervisor/sweep"
)

// Host collects all that an Operator asks of the machine it runs on.
type Host struct {
	Now           func() time.Time
	EUID          int
	EGID          uint32
	Owner         uint32                                        // the supervisor's uid, which must own all its files
	Defaults      func() []string                               // the places of a runtime directory
	Booting       func() bool                                   // PID 1 is gateway-init, so missing files may still come
	Process       func(procfs.ID) error                         // nil if it is alive with this start time
	UIDs          func(pid int) (procfs.Status, error)          // from /proc/PID/status
	Threads       func(procfs.ID) int                           // 0 if that is not known
	Listeners     func(port uint16) ([]sockets.Listener, error) // LISTEN sockets in both families
	Held          func([]sockets.Listener, int) (proof.Ownership, []sockets.Listener, error)
	Hold          func(procfs.ID) (*os.File, error)   // the pidfd of a gateway
	Connect       func(*proven.Life, time.Time) error // proves a connection, before the deadline
	Config        func() (*config.Config, error)
	Agent         func() (sweep.Account, error)
	PortUse       func(context.Context, sweep.Account, uint16) (sweep.PortUse, error)
	Kill          func([]procfs.Stat, func(pid int) bool) ([]int, error)    // all but those that are spared
	KillAll       func(uid uint32, spare func(pid int) bool) ([]int, error) // the same for all of a user
	Find          func(context.Context) (*external.Supervisor, error)       // finds a supervisor without root
	FindUnmanaged func(context.Context, config.Gateway, func(procfs.Stat) bool, func(string)) (*external.Unmanaged, error)

	Patience   time.Duration // how long to wait for a PID 1 that has just started; 0 for not at all
	TokenTries int           // how often, every 50 ms, to look again at a token that is not the recorded one
}

// NewLocal returns a Local on this machine, with the environment of a caller.
func NewLocal(env []string) *Local { return newLocalOf(uint32(os.Geteuid()), findOwner(env), env) }

// newLocalOf returns the Local of a user, for the supervisor of owner.
func newLocalOf(uid, owner uint32, env []string) *Local {
	l := &Local{}
	l.Host = Host{
		Now:           time.Now,
		EUID:          int(uid),
		EGID:          uint32(syscall.Getegid()), // of this thread, which may have taken another user's ids
		Owner:         owner,
		Defaults:      func() []string { return placesOf(l.Owner, env) },
		Booting:       func() bool { return l.isOwnBooting() },
		Process:       procfs.ID.Verify,
		UIDs:          procfs.ReadStatus,
		Threads:       threadsOf,
		Listeners:     sockets.Listeners,
		Held:          proof.JudgeHolders,
		Hold:          procfs.ID.Pidfd,
		Connect:       proven.Check,
		Config:        func() (*config.Config, error) { return config.Load(config.DefaultFile) },
		Agent:         func() (sweep.Account, error) { return l.findAgent() },
		PortUse:       sweep.FindPortUse,
		Kill:          sweep.Kill,
		KillAll:       sweep.KillAll,
		Find:          external.Find,
		FindUnmanaged: external.FindUnmanaged,

		TokenTries: 20,
		Patience:   ownPatience,
	}
	return l
}

// defaultRuntimeDir and fallbackRuntimeDir are the supervisor's own choices
// (docs/design.md, section 7).
const (
	defaultRuntimeDir  = "/run/gateway-init"
	fallbackRuntimeDir = "/dev/.gateway-init"
)

// runtimeDirs returns the places where the supervisor of this container may have
// its files. A config that does not load is not refused here, because PID 1 may
// run with the previous one.
func runtimeDirs() []string {
	first := defaultRuntimeDir
	if c, err := config.Load(config.DefaultFile); err == nil {
		first = c.RuntimeDir
	}
	return []string{first, fallbackRuntimeDir}
}

// threadsOf returns how many threads a process has, or 0 if the kernel does not show it.
func threadsOf(id procfs.ID) int {
	st, err := procfs.ReadStat(id.PID)
	if err != nil || st.ID() != id {
		return 0
	}
	return st.Threads
}

// isBooting reports whether PID 1 is gateway-init or is about to become it. comm
// proves nothing; it only decides how long we wait.
func isBooting() bool {
	one, err := procfs.ReadStat(1)
	return err == nil && (one.Comm == "gateway-init" || strings.HasPrefix(one.Comm, "runc:[")) // before its exec
}

// OpenRuntime opens the supervisor's runtime directory, which is the first
// candidate that holds a supervisor's files. The caller owns the descriptor. If
// there is none, the error matches fs.ErrNotExist, unless a candidate exists and
// is unsafe.
func (l *Local) OpenRuntime() (*os.File, error) {
	names := []string{l.RuntimeDir}
	if l.RuntimeDir == "" {
		names = l.Defaults()
	}
	var refused, missing error
	for _, name := range names {
		dir, err := l.openCandidate(name)
		switch {
		case err == nil:
			return dir, nil
		case errors.Is(err, fs.ErrNotExist):
			missing = errors.Join(missing, err)
		case refused == nil:
			refused = err
		}
	}
	if refused != nil {
		return nil, refused
	}
	return nil, &noRuntime{names, l.Owner != 0 && l.RuntimeDir == ""}
}

// noRuntime is an fs.ErrNotExist that names all places that were looked at.
type noRuntime struct {
	names []string
	own   bool // without root the places depend on the supervisor's environment
}

func (e *noRuntime) Error() string {
	text := "no supervisor's files in " + strings.Join(e.names, " or ")
	if e.own {
		text += " (by XDG_RUNTIME_DIR, which must be the supervisor's own)"
	}
	return text
}
func (e *noRuntime) Unwrap() error { return fs.ErrNotExist }

func (h *Host) openCandidate(name string) (*os.File, error) {
	dir, err := fsafe.OpenDir(name)
	if err != nil {
		return nil, err
	}
	want := fsafe.Want{Type: fsafe.Directory, UID: &h.Owner, NotWritableByOthers: true}
	if _, err := fsafe.Verify(dir, want); err != nil {
		dir.Close()
		return nil, err
	}
	for _, name := range []string{status.Name, control.Dir} {
		if _, err = fsafe.StatAt(dir, name); err == nil {
			return dir, nil
		}
	}
	dir.Close()
	return nil, err
}
