// SPDX-License-Identifier: Apache-2.0

// Package procfs identifies processes by /proc. Its callers must not be led to the
// wrong process by pids that are used again, by names that a process gives itself, or
// by a user that makes processes come and go meanwhile.
//
// An ID is the identity of a process, as cheap as one read of its stat line. A Handle
// holds the /proc/PID of one process open, and a Snapshot is what it shows. The walks
// over /proc are bounded.
package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Errors about a process.
var (
	ErrGone     = errors.New("the process is gone")
	ErrReplaced = errors.New("the pid belongs to another process now")
	ErrChanged  = errors.New("the process is not the same")
	ErrHidden   = errors.New("/proc hides the process (mount option hidepid)")
	errProc     = errors.New("/proc is not procfs")
	errForeign  = errors.New("/proc belongs to another PID namespace")
	errBound    = errors.New("too many entries")
)

// IsGone reports whether err is the kernel's answer about a process or thread that
// has ended.
func IsGone(err error) bool {
	return errors.Is(err, ErrGone) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// whyUnseen returns the error for a process of which /proc shows nothing: ErrGone if it
// has ended, ErrHidden if it lives. Under hidepid=2 and 4 the kernel answers ENOENT for
// both, so whyUnseen asks by a signal that does nothing whether the pid is in use.
func whyUnseen(pid int, err error) error {
	switch {
	case pid == os.Getpid(): // it is never hidden
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrHidden, err)
	case errors.Is(err, fs.ErrNotExist) && pid > 0 && !errors.Is(sys.Kill(pid, 0), syscall.ESRCH):
		return ErrHidden
	case IsGone(err):
		return ErrGone
	}
	return err
}

// ID identifies a process. A pid alone is not enough, because it may be reused.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start_ticks"` // since boot, in clock ticks: field 22 of /proc/PID/stat
}

// Identify returns the ID of the process that has pid now, dead or alive.
func Identify(pid int) (ID, error) {
	st, err := ReadStat(pid)
	if err != nil {
		return ID{}, err
	}
	return st.ID(), nil
}

// Verify returns nil if the process is alive. The error is ErrGone or ErrReplaced if
// it is not. A zombie is not alive. A process whose first thread has ended is not
// either, because nothing of it can be seen any more.
func (id ID) Verify() error {
	st, err := id.stat()
	if err == nil && (st.State == 'Z' || st.State == 'X') {
		return ErrGone
	}
	return err
}

// VerifyExists returns nil if the process is alive or a zombie. The error is ErrGone
// or ErrReplaced if it has been reaped.
func (id ID) VerifyExists() error {
	_, err := id.stat()
	return err
}

func (id ID) stat() (Stat, error) {
	st, err := ReadStat(id.PID)
	if err == nil && st.Start != id.Start {
		err = ErrReplaced
	}
	return st, err
}
