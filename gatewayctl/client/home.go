// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
)

// home is the directory where the client keeps its files. If it is temporary,
// its parent and the directory itself are held open until it is removed.
type home struct {
	path   string
	user   users.User
	why    string   // why the home in /etc/passwd is not used
	parent *os.File // nil if the home stays
	dir    *os.File
	name   string
}

// tmpDir is TMPDIR below a home. The agent can write to /tmp as well, and a
// program that finds a cache of compiled code there (Node does) runs that code.
const tmpDir = ".gatewayctl-tmp"

// places returns the directories where a temporary home may be. A container has
// the first on tmpfs, with --read-only too.
func places() []string { return []string{"/dev/shm", "/tmp"} }

// openHome returns the user's own home if that can be used, else a new one. The
// caller closes it.
func openHome(u users.User, places []string) (*home, error) {
	h := &home{path: u.Home, user: u}
	if err := h.choose(places); err != nil {
		return nil, err
	}
	if err := sys.AsFileOwner(u.UID, u.GID, h.makeTmp); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *home) choose(places []string) error {
	u := h.user
	err := sys.AsFileOwner(u.UID, u.GID, func() error { return checkUsable(u) })
	if err == nil {
		return nil
	}
	h.why = err.Error()
	problems := []string{h.why}
	for _, place := range places {
		err := h.makeBelow(place)
		if err == nil {
			return nil
		}
		problems = append(problems, err.Error())
	}
	return fmt.Errorf("cannot find a home for user %s: %s: run the container with %s", u.Name, strings.Join(problems, "; "), keepFlag(u))
}

// keepFlag returns the flag that gives the user a home for the life of the
// container.
func keepFlag(u users.User) string {
	return fmt.Sprintf("--tmpfs %s:uid=%d,gid=%d,mode=0700", u.Home, u.UID, u.GID)
}

// notes returns the facts about the home that the user has to know.
func (h *home) notes() []string {
	if h.parent == nil {
		return nil
	}
	return []string{fmt.Sprintf("HOME is a temporary directory on tmpfs, removed at the end (%s): run the container with %s to keep it", h.why, keepFlag(h.user))}
}

// checkUsable checks, as the user, that its home is its own and can be written.
func checkUsable(u users.User) error {
	if _, err := pathcheck.Path(u.Home, u.UID); err != nil {
		return err
	}
	dir, err := fsafe.OpenDir(u.Home)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := makePrivate(dir, u); err != nil {
		return err
	}
	name, err := freshName()
	if err != nil {
		return err
	}
	f, err := fsafe.CreateAt(dir, name, 0o600)
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("cannot write in %s: %w", u.Home, failed.Err) // the random name would not help
	}
	if err != nil {
		return err
	}
	f.Close()
	return fsafe.Remove(dir, name)
}

func makePrivate(dir *os.File, u users.User) error {
	_, err := fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: &u.UID, NotWritableByOthers: true})
	return err
}

// freshName returns a name that no other process could have made before us.
func freshName() (string, error) {
	var raw [8]byte
	err := sys.Random(raw[:])
	return ".gatewayctl-home-" + hex.EncodeToString(raw[:]), err
}

// makeBelow makes a temporary home in a directory that all users may use. The
// directory must be on tmpfs, so that nothing stays on a disk, and sticky, so
// that no other user can move the home.
func (h *home) makeBelow(place string) (err error) {
	parent, err := fsafe.OpenDir(place)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			parent.Close()
		}
	}()
	info, err := fsafe.Verify(parent, fsafe.Want{Type: fsafe.Directory, UID: fsafe.ID(0)})
	if err != nil {
		return err
	}
	magic, err := sys.FSMagic(parent)
	switch {
	case err != nil:
		return err
	case magic != sys.TmpfsMagic:
		return &fsafe.UnsafeError{UnsafePath: place, Problem: "is not a tmpfs"}
	case info.Mode&sticky == 0:
		return &fsafe.UnsafeError{UnsafePath: place, Problem: "is not sticky"}
	}
	name, err := freshName()
	if err != nil {
		return err
	}
	err = sys.AsFileOwner(h.user.UID, h.user.GID, func() (err error) {
		if h.dir, err = fsafe.MakeDir(parent, name, 0o700); err != nil {
			return err
		}
		if err := makePrivate(h.dir, h.user); err != nil {
			return errors.Join(err, h.dir.Close(), fsafe.RemoveDir(parent, name))
		}
		return nil
	})
	if err == nil {
		h.path, h.parent, h.name = place+"/"+name, parent, name
	}
	return err
}

const sticky = 0o1000

// makeTmp makes TMPDIR, or takes the one that a former client had. It runs as
// the user.
func (h *home) makeTmp() error {
	dir, err := fsafe.OpenDir(h.path)
	if err != nil {
		return err
	}
	defer dir.Close()
	tmp, err := fsafe.MakeDir(dir, tmpDir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		tmp, err = fsafe.OpenDirAt(dir, tmpDir)
	}
	if err != nil {
		return fmt.Errorf("cannot make TMPDIR: %w", err)
	}
	defer tmp.Close()
	if err := makePrivate(tmp, h.user); err != nil {
		return fmt.Errorf("cannot use TMPDIR: %w: remove it", err)
	}
	return nil
}
