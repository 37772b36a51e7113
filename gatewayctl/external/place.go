// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/exitauth"
)

// lockName is the file that controllers lock to take turns.
const lockName = "controller.lock"

var errClosed = errors.New("closed to the supervisor")

// openPlace opens root's directory for the authorization and the lock, and makes it
// if root can. If ownership is remapped (some VMs), root can own no directory. Then
// openPlace returns nil and the reason.
func openPlace(dirs []string) (*os.File, error) {
	var why error
	for _, name := range dirs {
		dir, err := openPlaceAt(name)
		if err == nil {
			return dir, nil
		}
		why = errors.Join(why, err)
	}
	return nil, why
}

func openPlaceAt(unsafePath string) (*os.File, error) {
	if _, err := pathcheck.Path(path.Dir(unsafePath), 0); err != nil {
		return nil, err
	}
	parent, err := fsafe.OpenDir(path.Dir(unsafePath))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	dir, err := fsafe.OpenDirAt(parent, path.Base(unsafePath))
	if errors.Is(err, fs.ErrNotExist) {
		dir, err = fsafe.MakeDir(parent, path.Base(unsafePath), 0o755)
	}
	if errors.Is(err, fs.ErrExist) { // another controller has just made it
		dir, err = fsafe.OpenDirAt(parent, path.Base(unsafePath))
	}
	if err != nil {
		return nil, err
	}
	i, err := fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: fsafe.ID(0), NotWritableByOthers: true})
	if err == nil && i.Mode&0o001 == 0 { // the supervisor would find nothing in it
		err = fmt.Errorf("%w: %s has mode %04o", errClosed, unsafePath, i.Mode)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// newQueue waits for the lock and returns its descriptor. The lock ends with the
// descriptor, so a holder that dies blocks no other controller. If root has no
// directory, the lock is on our own program's file.
func newQueue(ctx context.Context, dir *os.File) (*os.File, error) {
	f, err := lockFile(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock: %w", err)
	}
	err = poll(ctx, func() (ours bool, err error) { return sys.TryLock(f) })
	switch {
	case err == nil:
		return f, nil
	case ctx.Err() != nil:
		err = fmt.Errorf("another gatewayctl is at work: %w", ctx.Err())
	default:
		err = fmt.Errorf("cannot lock %s: %w", f.Name(), err)
	}
	f.Close()
	return nil, err
}

func lockFile(dir *os.File) (*os.File, error) {
	if dir == nil {
		return os.Open("/proc/self/exe")
	}
	f, err := fsafe.CreateAt(dir, lockName, 0o600)
	if errors.Is(err, fs.ErrExist) {
		f, err = fsafe.OpenAt(dir, lockName, os.O_RDONLY)
	}
	if err != nil {
		return nil, err
	}
	if _, err := fsafe.Verify(f, fsafe.Want{Type: fsafe.Regular, UID: fsafe.ID(0), Mode: fsafe.Mode(0o600), Links: 1}); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// publish authorizes this process to end the gateway. The authorization counts only
// while this process lives.
func publish(dir *os.File, gateway procfs.ID) error {
	self, err := procfs.Identify(os.Getpid())
	if err != nil {
		return err
	}
	return exitauth.Publish(dir, exitauth.Authorization{Gateway: gateway, Controller: self})
}
