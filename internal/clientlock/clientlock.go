// SPDX-License-Identifier: Apache-2.0

// Package clientlock has a lock that shows whether a client with the gateway's token
// is running.
//
// PID 1 makes the file in the runtime directory and keeps it open. gatewayctl
// takes a shared lock (flock(2)) on a description of its own before it reads the
// token, and keeps it until its client has ended. PID 1 tests with an exclusive
// lock. The kernel releases a lock with its last descriptor, so a killed
// gatewayctl leaves no stale lock.
//
// A client can end long before the gateway does, and may have sent the token to a
// process that had the port for a moment. gatewayctl notes that by Mark, which
// outlives the lock; PID 1 forgets it by Clear when it has a new token.
//
// Not defended: a process that can open the file can hold the lock for ever. The
// file has mode 0600 and its directory has mode 0700, so that process is root or
// the one user of a container without root. A held lock costs one new token at
// each start of the gateway and nothing else.
package clientlock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Name is the file's name in the runtime directory.
const Name = "clients.lock"

const mode = 0o600

// Hold tries again for patience, with a pause between two attempts. PID 1 holds the
// exclusive lock for microseconds.
const (
	patience = 2 * time.Second
	pause    = time.Millisecond
)

// errBusy is the error of Hold if the exclusive lock was held for too long.
var errBusy = errors.New("another process holds the exclusive lock")

// Make creates the file in dir and returns it open. A file of an earlier run is
// removed if it is a regular file with one link that the caller owns. Anything
// else is refused. The caller owns the descriptor and keeps it for IsHeld.
func Make(dir *os.File) (_ *os.File, err error) {
	if err := removeOld(dir); err != nil {
		return nil, fmt.Errorf("cannot remove an old client lock: %w", err)
	}
	f, err := fsafe.CreateAt(dir, Name, mode)
	if err != nil {
		return nil, fmt.Errorf("cannot make the client lock: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot make the client lock: %w", errors.Join(err, fsafe.Remove(dir, Name)))
			f.Close()
		}
	}()
	if err := fsafe.Chmod(f, mode); err != nil { // the umask may have taken bits away
		return nil, err
	}
	if err := verify(f, uint32(os.Geteuid())); err != nil {
		return nil, err
	}
	return f, nil
}

// removeOld removes the file of an earlier run.
func removeOld(dir *os.File) error {
	want := fsafe.Want{Type: fsafe.Regular, UID: fsafe.ID(uint32(os.Geteuid())), Links: 1}
	_, err := fsafe.VerifyAt(dir, Name, want)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fsafe.Remove(dir, Name)
}

func verify(f *os.File, owner uint32) error {
	_, err := fsafe.Verify(f, fsafe.Want{Type: fsafe.Regular, UID: &owner, Mode: fsafe.Mode(mode), Links: 1})
	return err
}

// Hold opens the file in dir, which must belong to owner, and takes the shared
// lock. It tries again while PID 1 tests the lock, and fails with errBusy after
// two seconds. The caller owns the descriptor, and the lock lasts until it is
// closed. It is close-on-exec, so no child has the lock.
func Hold(dir *os.File, owner uint32) (_ *os.File, err error) {
	f, err := fsafe.OpenAt(dir, Name, os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("cannot open the client lock: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := verify(f, owner); err != nil {
		return nil, fmt.Errorf("cannot use the client lock: %w", err)
	}
	for until := time.Now().Add(patience); ; time.Sleep(pause) {
		switch held, err := sys.TrySharedLock(f); {
		case err != nil:
			return nil, fmt.Errorf("cannot take the client lock %s: %w", f.Name(), err)
		case held:
			// A file that was removed meanwhile is not the one that PID 1 tests.
			if err := verify(f, owner); err != nil {
				return nil, fmt.Errorf("cannot use the client lock: %w", err)
			}
			return f, nil
		case time.Now().After(until):
			return nil, fmt.Errorf("cannot take the client lock %s: %w", f.Name(), errBusy)
		}
	}
}

// Mark notes that the client of f may have sent the token to another process. The
// mark is the file's size. It needs no space, so a full file system does not refuse
// it.
func Mark(f *os.File) error { return f.Truncate(1) }

// Clear removes every mark.
func Clear(f *os.File) error { return f.Truncate(0) }

// IsHeld reports whether a client holds the lock of the file that Make returned, or
// has left a mark. It takes the exclusive lock for a moment and gives it back, so f
// must be the description of Make and no other.
func IsHeld(f *os.File) (bool, error) {
	if i, err := fsafe.Stat(f); err != nil || i.Size > 0 {
		return err == nil, err
	}
	free, err := sys.TryLock(f)
	if err != nil {
		return false, fmt.Errorf("cannot test the client lock %s: %w", f.Name(), err)
	}
	if !free {
		return true, nil
	}
	if err := sys.Unlock(f); err != nil {
		return false, fmt.Errorf("cannot release the client lock %s: %w", f.Name(), err)
	}
	return false, nil
}
