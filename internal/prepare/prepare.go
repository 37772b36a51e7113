// SPDX-License-Identifier: Apache-2.0

// Package prepare makes the directories that must exist before the gateway starts,
// so that no other user can squat them. It works by descriptor, never through a link.
package prepare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// Directory is one resolved entry.
type Directory struct {
	Path     string // absolute and clean
	UID, GID uint32
	Mode     uint32
}

// Make makes the missing directories. It refuses a file that is in the way, with its
// path.
func Make(dirs []Directory) error {
	for _, d := range dirs {
		if err := d.make(); err != nil {
			return fmt.Errorf("cannot prepare %s: %w", d.Path, err)
		}
	}
	return nil
}

func (d Directory) make() error {
	parent, err := fsafe.OpenDir(path.Dir(d.Path))
	if err != nil {
		return err
	}
	defer parent.Close()
	name := path.Base(d.Path)
	f, err := fsafe.OpenAt(parent, name, unix.O_PATH)
	if errors.Is(err, fs.ErrNotExist) {
		return d.create(parent, name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	i, err := fsafe.Stat(f)
	if err != nil {
		return err
	}
	if i.Type == fsafe.Directory && i.UID == d.UID && i.Mode&0o022&^d.Mode == 0 {
		return nil // its owner may have made it stricter
	}
	return d.evict(parent, name, i)
}

// evict replaces an empty directory that is in our place. It may be another user's
// if the parent is root-owned and sticky. There root may remove it, and the other
// user may not remove its replacement. It may also be our own, made by a previous run
// that ended before it could give it away. Anything else is refused.
func (d Directory) evict(parent *os.File, name string, i fsafe.Info) error {
	p, err := fsafe.Stat(parent)
	if err != nil {
		return err
	}
	ours := i.UID == uint32(os.Geteuid())
	if i.Type == fsafe.Directory && p.UID == 0 && (ours || p.Mode&unix.S_ISVTX != 0) {
		if err := fsafe.RemoveDir(parent, name); err == nil {
			return d.create(parent, name)
		}
	}
	return &fsafe.UnsafeError{UnsafePath: d.Path,
		Problem: fmt.Sprintf("is %v of uid %d with mode %04o, not a directory of uid %d with mode %04o or less: remove it", i.Type, i.UID, i.Mode, d.UID, d.Mode)}
}

// mountMode returns the option of a tmpfs at dir. All users write in /tmp, and only root
// elsewhere.
func mountMode(dir string) string {
	if dir == "/tmp" {
		return "mode=1777"
	}
	return "mode=0755"
}

// create makes the directory. It sets the mode before the owner, as a root without
// CAP_FOWNER must. A directory that cannot be given away is removed.
func (d Directory) create(parent *os.File, name string) error {
	f, err := fsafe.MakeDir(parent, name, d.Mode)
	if errors.Is(err, unix.EROFS) {
		err = fmt.Errorf("%w: %s", err, advice.Tmpfs(path.Dir(d.Path), mountMode(path.Dir(d.Path))))
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = fsafe.Chown(f, d.UID, d.GID)
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w: %s", err, advice.CapAdd("CHOWN"))
	}
	if err != nil {
		return errors.Join(err, fsafe.RemoveDir(parent, name))
	}
	return nil
}
