// SPDX-License-Identifier: Apache-2.0

// Package runtimedir finds, checks and makes the runtime directory.
//
// It must be on a memory file system, so that the token never reaches a disk. Its
// parent must be sticky or writable by root only, so that no other user can put
// another directory in its place. If the configured place is not on tmpfs, root falls
// back to /dev/.gateway-init. A container's /dev is a tmpfs that only root can write,
// with a read-only root file system too.
package runtimedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// fallbackDir is the directory that is used if the configured place is not on tmpfs.
const fallbackDir = "/dev/.gateway-init"

// Dir is the runtime directory, verified.
type Dir struct {
	File   *os.File // the caller owns it
	Path   string
	Shared string // the tmpfs if others can fill it, or ""
	Disk   string // the file system type if require_tmpfs: false lets it be no tmpfs, or ""
	rules  rules
	lock   *os.File
}

// Advice says how to mount a tmpfs here.
func (d *Dir) Advice() string { return d.rules.advice(d.Path) }

// Lock locks the directory until this process ends. Otherwise another gateway-init
// in it would take our token, status and FIFO for leftovers of a previous run. The
// kernel releases the lock when we end, so it is never stale. The lock is on a
// description of its own, which no child has, because a re-exec child inherits File.
func (d *Dir) Lock() error {
	f, err := fsafe.Again(d.File)
	ours := false
	if err == nil {
		ours, err = sys.TryLock(f)
	}
	if !ours {
		f.Close() // harmless if f is nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("cannot lock the runtime directory: %w", err)
	case !ours:
		return fmt.Errorf("cannot start: another gateway-init runs in %s: operate that one with gatewayctl, or end it first; "+
			"one in another container needs a directory of its own (%s)", d.Path, d.rules.setting())
	}
	d.lock = f
	return nil
}

// errNotTmpfs says that a place is fine except for its file system.
var errNotTmpfs = errors.New("not on tmpfs")

// Open opens or makes root's directory at unsafePath, or at fallbackDir.
func Open(unsafePath string, requireTmpfs bool) (*Dir, error) {
	return rules{}.first([]string{unsafePath, fallbackDir}, requireTmpfs)
}

// OpenOwn does the same as Open for a process without root. It takes uid's own
// directory, closed to all others, at the first of places that is on tmpfs.
func OpenOwn(places []string, uid uint32, requireTmpfs bool) (*Dir, error) {
	return rules{uid: uid, gid: uint32(os.Getegid())}.first(places, requireTmpfs)
}

// Own returns the places where the directory of a uid without root may be
// (docs/design.md, section 7). They are in xdg, the value of XDG_RUNTIME_DIR, and in
// /dev/shm, which engines mount as a tmpfs of mode 1777.
func Own(xdg string, uid uint32) (places []string) {
	if path.IsAbs(xdg) {
		places = append(places, path.Join(xdg, "gateway-init"))
	}
	return append(places, "/dev/shm/gateway-init-"+strconv.FormatUint(uint64(uid), 10))
}

// rules holds the owner and group that a runtime directory must have.
type rules struct{ uid, gid uint32 }

// mode closes the directory to all but its owner, because the names, times and sizes
// in it say when the token changed.
const mode = 0o700

// first opens the first place. A later place stands in for one that is not on tmpfs,
// but not for one with another problem.
func (r rules) first(places []string, requireTmpfs bool) (*Dir, error) {
	d, err := r.open(places[0], requireTmpfs)
	if len(places) == 1 && errors.Is(err, errNotTmpfs) {
		return nil, fmt.Errorf("cannot use %s as runtime directory: %w: %s", places[0], err, r.advice(path.Dir(places[0])))
	}
	for _, other := range places[1:] {
		if !errors.Is(err, errNotTmpfs) {
			break
		}
		var otherErr error
		if d, otherErr = r.open(other, true); otherErr == nil {
			return d, nil
		}
		err = fmt.Errorf("cannot use %s as runtime directory: it is not on tmpfs, and neither can %s be used (%v): %s",
			places[0], other, otherErr, r.advice(places[0]))
	}
	return d, err
}

// setting returns the name of the setting that says where the directory is.
func (r rules) setting() string {
	if r.uid == 0 {
		return "runtime_dir"
	}
	return "XDG_RUNTIME_DIR"
}

// advice says how to mount a tmpfs for the directory at a path.
func (r rules) advice(unsafePath string) string {
	options := "mode=0700,size=1m"
	if r.uid != 0 {
		options = fmt.Sprintf("uid=%d,", r.uid) + options
	}
	return advice.Tmpfs(unsafePath, options)
}

func (r rules) open(unsafePath string, requireTmpfs bool) (_ *Dir, err error) {
	parent, err := fsafe.OpenDir(path.Dir(unsafePath))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %v", errNotTmpfs, err)
		}
		return nil, fmt.Errorf("cannot open the runtime directory's parent: %w", err)
	}
	defer parent.Close()
	dir, err := fsafe.OpenDirAt(parent, path.Base(unsafePath))
	made := false
	if errors.Is(err, fs.ErrNotExist) {
		if err := checkFS(parent, requireTmpfs); err != nil {
			return nil, err
		}
		if err := r.checkParent(parent, unsafePath); err != nil {
			return nil, err
		}
		dir, err = fsafe.MakeDir(parent, path.Base(unsafePath), mode)
		made = true
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the runtime directory: %w: %s", err, r.advice(unsafePath))
	}
	defer func() {
		if err != nil {
			dir.Close()
		}
	}()
	if made {
		if err := fsafe.Chown(dir, r.uid, r.gid); err != nil {
			return nil, err
		}
	}
	return r.verify(dir, parent, unsafePath, requireTmpfs)
}

// verify checks the opened directory and the mount that it is on.
func (r rules) verify(dir, parent *os.File, unsafePath string, requireTmpfs bool) (*Dir, error) {
	if err := checkFS(dir, requireTmpfs); err != nil {
		return nil, err
	}
	if err := r.tighten(dir, parent); err != nil {
		return nil, err
	}
	i, err := fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: &r.uid, NotWritableByOthers: true})
	if err != nil {
		return nil, fmt.Errorf("cannot use the runtime directory: %w: %s", err, r.advice(unsafePath))
	}
	if i.Mode != mode { // from a mount, or from a previous run
		if err := fsafe.Chmod(dir, mode); err != nil {
			return nil, fmt.Errorf("cannot close the runtime directory to others: %w", err)
		}
	}
	d := &Dir{File: dir, Path: unsafePath, rules: r}
	p, err := fsafe.Stat(parent)
	if err != nil {
		return nil, err
	}
	if p.Dev == i.Dev { // not a mount of its own
		if err := r.checkParent(parent, unsafePath); err != nil {
			return nil, err
		}
		if p.Mode&0o002 != 0 {
			d.Shared = parent.Name()
		}
	}
	m, err := mountOf(unsafePath)
	if err != nil {
		return nil, err
	}
	if memory := m.FSType == "tmpfs" || m.FSType == "ramfs"; !memory {
		if requireTmpfs {
			return nil, fmt.Errorf("%w: %s is mounted as %s", errNotTmpfs, m.Mountpoint, m.FSType)
		}
		d.Disk = m.FSType
	}
	return d, nil
}

func checkFS(f *os.File, requireTmpfs bool) error {
	magic, err := sys.FSMagic(f)
	if err != nil {
		return err
	}
	if requireTmpfs && magic != sys.TmpfsMagic && magic != sys.RamfsMagic {
		return fmt.Errorf("%w: %s has file system type %#x", errNotTmpfs, f.Name(), magic)
	}
	return nil
}

// checkParent refuses a directory in which another user could rename ours away.
func (r rules) checkParent(parent *os.File, unsafePath string) error {
	i, err := fsafe.Verify(parent, fsafe.Want{Type: fsafe.Directory})
	if err == nil && i.UID != 0 && i.UID != r.uid {
		_, err = fsafe.Verify(parent, fsafe.Want{Type: fsafe.Directory, UID: fsafe.ID(0)}) // its error names the owner
	}
	if err == nil && i.Mode&0o022 != 0 && i.Mode&0o1000 == 0 {
		err = &fsafe.UnsafeError{UnsafePath: parent.Name(), Problem: fmt.Sprintf("is writable by others and not sticky (mode %04o)", i.Mode)}
	}
	if err != nil {
		return fmt.Errorf("cannot trust the runtime directory's parent: %w: chown root and chmod 0755 or 1777 it, or %s", err, r.advice(unsafePath))
	}
	return nil
}
