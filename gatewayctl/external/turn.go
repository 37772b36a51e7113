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

// Begin waits for our turn, which ends with done. It looks at nothing before that,
// because another controller's work makes an earlier proof outdated.
func (c *Controller) Begin(ctx context.Context) (done func(), err error) {
	c.enter("waiting for other controllers")
	c.place, c.why = openPlace(exitauth.Dirs())
	lock, err := newQueue(ctx, c.place)
	if err != nil {
		c.place.Close() // nil is not closed
		return nil, err
	}
	return func() {
		lock.Close()
		c.place.Close()
	}, nil
}

// newQueue waits for the lock and returns its descriptor. The lock ends with the
// descriptor, so a holder that dies blocks no other controller. If root has no
// directory, the lock is on our own program's file.
func newQueue(ctx context.Context, dir *os.File) (*os.File, error) {
	f, err := openLock(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock: %w", err)
	}
	if err := poll(ctx, func() (ours bool, err error) { return sys.TryLock(f) }); err != nil {
		f.Close()
		return nil, fmt.Errorf("another gatewayctl is at work: cannot lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// authorize authorizes the exit of g until withdraw is called. Without an authorization the
// supervisor starts the gateway again after its backoff.
func (c *Controller) authorize(g *procfs.Held) (withdraw func()) {
	self, err := procfs.Identify(os.Getpid())
	if err == nil {
		err = c.why
	}
	if err == nil {
		err = exitauth.Publish(c.place, exitauth.Authorization{Gateway: g.ID(), Controller: self})
	}
	if err != nil {
		c.note("the exit cannot be authorized, so it counts as a failure: %v", err)
	}
	return func() {
		if c.place != nil {
			_ = exitauth.Withdraw(c.place) // a file that stays there names processes that are gone
		}
	}
}

// openPlace opens root's directory for the authorization and the lock, and makes it if root
// can. Otherwise it returns nil and the reason (docs/controller.md).
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
	above := path.Dir(unsafePath)
	if _, err := pathcheck.Path(above, 0); err != nil {
		return nil, err
	}
	parent, err := fsafe.OpenDir(above)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	dir, err := fsafe.MakeDir(parent, path.Base(unsafePath), 0o755)
	if errors.Is(err, fs.ErrExist) {
		dir, err = fsafe.OpenDirAt(parent, path.Base(unsafePath))
	}
	if err != nil {
		return nil, err
	}
	i, err := fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: fsafe.ID(0), NotWritableByOthers: true})
	if err == nil && i.Mode&0o001 == 0 { // the supervisor would find nothing in it
		err = fmt.Errorf("closed to the supervisor: %s has mode %04o", unsafePath, i.Mode)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

func openLock(dir *os.File) (*os.File, error) {
	if dir == nil {
		return os.Open("/proc/self/exe")
	}
	f, err := fsafe.CreateAt(dir, lockName, 0o600)
	if errors.Is(err, fs.ErrExist) {
		f, err = fsafe.OpenAt(dir, lockName, os.O_RDONLY)
	}
	if err == nil {
		_, err = fsafe.Verify(f, fsafe.Want{Type: fsafe.Regular, UID: fsafe.ID(0), Mode: fsafe.Mode(0o600), Links: 1})
	}
	if err != nil {
		f.Close() // nil is not closed
		return nil, err
	}
	return f, nil
}
