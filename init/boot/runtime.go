// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// openRuntime opens and locks the runtime directory. Without root it takes the
// user's own directory, whatever the configuration says, because the configured one
// was not prepared for us. The lock comes before anything in it is touched.
func (b *bootstrap) openRuntime() (dir *runtimedir.Dir, err error) {
	if b.rootless {
		xdg, _ := b.env.Value("XDG_RUNTIME_DIR")
		dir, err = runtimedir.OpenOwn(runtimedir.Own(xdg, b.users.gateway.UID), b.users.gateway.UID, b.cfg.RequireTmpfs)
	} else {
		dir, err = runtimedir.Open(b.cfg.RuntimeDir, b.cfg.RequireTmpfs)
	}
	if err == nil {
		err = dir.Lock()
	}
	return dir, err
}

// minFree is room in bytes for the token, the status and a few replies, each beside
// its old version, and the space in reserve. A file takes at least one page. Without
// this room PID 1 could not report anything.
const minFree = 48 << 10

// recordSize is the space of a status record, and of the one in reserve. A usual record
// takes half of it.
const recordSize = 8 << 10

// minFreeFiles is room for as many files.
const minFreeFiles = 16

// checkSpace refuses a tmpfs that is too small, or that others have filled.
func checkSpace(dir *runtimedir.Dir) error {
	free, total, err := sys.Space(dir.File)
	if err == nil && total > 0 && free < minFree {
		return fmt.Errorf("cannot use %s: %d bytes are free and %d are needed: make room, or %s",
			dir.Path, free, minFree, dir.Advice())
	}
	files, total, filesErr := sys.SpaceForFiles(dir.File)
	if filesErr == nil && total > 0 && files < minFreeFiles {
		return fmt.Errorf("cannot use %s: %d more files fit (inodes) and %d are needed: make room, or %s",
			dir.Path, files, minFreeFiles, dir.Advice())
	}
	return errors.Join(err, filesErr)
}

// checkRoom returns an error if a restart would find no room for its processes.
func checkRoom() error { return sys.CheckPids(policy.RestartPids) }

// addRemedy adds the remedy to a boot error that does not name one.
func addRemedy(err error, dir *runtimedir.Dir) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: make room, or %s", err, dir.Advice())
	case errors.Is(err, fsafe.ErrRemove):
		return err
	case errors.Is(err, fsafe.ErrUnsafe), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: %w", err, fsafe.ErrRemove)
	}
	return err
}

// cleanup removes the token, because the directory may outlive the container.
func (b *bootstrap) cleanup(dir *runtimedir.Dir) error {
	return tokenfile.RemoveAll(dir.File, uint32(os.Geteuid()), b.users.gateway.UID)
}
