// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// host collects all that this program asks of the machine it runs on.
type host struct {
	now           func() time.Time
	euid          int
	owner         uint32                                        // the supervisor's uid, which must own all its files
	defaults      func() []string                               // the places of a runtime directory
	booting       func() bool                                   // PID 1 is gateway-init, so missing files may still come
	process       func(procfs.ID) error                         // nil if it is alive with this start time
	uids          func(pid int) (procfs.Status, error)          // from /proc/PID/status
	listeners     func(port uint16) ([]sockets.Listener, error) // LISTEN sockets in both families
	held          func([]sockets.Listener, int) (proof.Ownership, []sockets.Listener, error)
	hold          func(procfs.ID) (*os.File, error) // its pidfd
	config        func() (*config.Config, error)
	users         func(*config.Config) (identities, error)
	find          func(context.Context) (*external.Supervisor, error) // finds a supervisor without root
	findUnmanaged func(context.Context, external.Settings, func(procfs.Snapshot) bool, func(string)) (*external.Unmanaged, error)
	launch        func(*client.Plan, client.Grant, client.Stdio) (int, error) // runs a client to its end

	patience   time.Duration // how long to wait for a PID 1 that has just started; 0 for not at all
	tokenTries int           // how often, every 50 ms, to look again at a token that is not the recorded one
}

func newHost(env []string) host {
	h := host{
		now:           time.Now,
		euid:          os.Geteuid(),
		owner:         findOwner(env),
		defaults:      runtimeDirs,
		booting:       isBooting,
		process:       procfs.ID.Verify,
		uids:          procfs.ReadStatus,
		listeners:     sockets.Listeners,
		held:          proof.JudgeHolders,
		hold:          procfs.ID.Pidfd,
		config:        func() (*config.Config, error) { return config.Load(config.DefaultFile) },
		users:         resolveUsers,
		find:          external.Find,
		findUnmanaged: external.FindUnmanaged,
		launch:        (*client.Plan).Run,

		tokenTries: 20,
		patience:   ownPatience,
	}
	h.adapt(env)
	return h
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

// isBooting reports whether PID 1 is gateway-init or is about to become it. comm
// proves nothing; it only decides how long we wait.
func isBooting() bool {
	text, err := readProc(1, "comm")
	if err != nil {
		return false
	}
	comm := strings.TrimSuffix(string(text), "\n")
	return comm == "gateway-init" || strings.HasPrefix(comm, "runc:[") // before its exec
}

// readProc reads a small file of a process.
func readProc(pid int, name string) ([]byte, error) {
	dir, err := fsafe.OpenDir("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := fsafe.OpenAt(dir, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if magic, err := sys.FSMagic(f); err != nil || magic != sys.ProcMagic {
		return nil, errors.Join(errors.New("/proc is not procfs"), err)
	}
	return fsafe.ReadAll(f, 64<<10)
}

// openRuntime opens the supervisor's runtime directory, which is the first
// candidate that holds a supervisor's files. The caller owns the descriptor. If
// there is none, the error matches fs.ErrNotExist, unless a candidate exists and
// is unsafe.
func (a *app) openRuntime() (*os.File, error) {
	names := []string{a.runtimeDir}
	if a.runtimeDir == "" {
		names = a.defaults()
	}
	var refused, missing error
	for _, name := range names {
		dir, err := a.openCandidate(name)
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
	return nil, &noRuntime{names, a.owner != 0 && a.runtimeDir == ""}
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

func (a *app) openCandidate(name string) (*os.File, error) {
	dir, err := fsafe.OpenDir(name)
	if err != nil {
		return nil, err
	}
	want := fsafe.Want{Type: fsafe.Directory, UID: &a.owner, NotWritableByOthers: true}
	if _, err := fsafe.Verify(dir, want); err != nil {
		dir.Close()
		return nil, err
	}
	for _, name := range []string{status.Name, controlDir} {
		if _, err = fsafe.StatAt(dir, name); err == nil {
			return dir, nil
		}
	}
	dir.Close()
	return nil, err
}
