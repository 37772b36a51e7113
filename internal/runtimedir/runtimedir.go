// Package runtimedir finds, checks and makes the runtime directory.
//
// It must be on a memory file system, so that the token never reaches a disk,
// in a parent that only root can write or that is sticky, so that nobody can
// put another in its place. If the configured place is not on tmpfs root falls
// back to /dev/.gateway-init: a container's /dev is a tmpfs that only root can
// write, with a read-only root file system too.
package runtimedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/moby/sys/mountinfo"

	"gatewayinit/internal/fsafe"
	"gatewayinit/internal/sys"
)

// Fallback is where it goes if the configured place is not on tmpfs.
const Fallback = "/dev/.gateway-init"

// Dir is the runtime directory, verified.
type Dir struct {
	File   *os.File // the caller owns it
	Path   string
	Shared string // not empty: others can fill this tmpfs, and which one it is
	Disk   string // not empty: it is on this file system type, as require_tmpfs: false permits
}

// errNotMemory: the place is fine but for its file system.
var errNotMemory = errors.New("not on tmpfs")

// Open opens or makes the directory at unsafePath, or at Fallback. gid may
// traverse it. It needs the rights of a root that has not dropped any yet.
func Open(unsafePath string, gid uint32, requireTmpfs bool) (*Dir, error) {
	d, err := open(unsafePath, gid, requireTmpfs)
	if !errors.Is(err, errNotMemory) {
		return d, err
	}
	f, ferr := open(Fallback, gid, true)
	if ferr != nil {
		return nil, fmt.Errorf("cannot use %s as runtime directory: it is not on tmpfs, and neither can %s be used (%v): run with --tmpfs %s:mode=0711,size=1m",
			unsafePath, Fallback, ferr, unsafePath)
	}
	return f, nil
}

func open(unsafePath string, gid uint32, requireTmpfs bool) (_ *Dir, err error) {
	parent, err := fsafe.OpenDir(path.Dir(unsafePath))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %v", errNotMemory, err)
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
		if err := checkParent(parent); err != nil {
			return nil, err
		}
		dir, err = fsafe.MakeDir(parent, path.Base(unsafePath), 0o710)
		made = true
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the runtime directory: %w: mount it with --tmpfs %s:mode=0711,size=1m", err, unsafePath)
	}
	defer func() {
		if err != nil {
			dir.Close()
		}
	}()
	if made {
		if err := fsafe.Chown(dir, 0, gid); err != nil {
			return nil, err
		}
	}
	return verify(dir, parent, unsafePath, gid, requireTmpfs)
}

// letIn gives a directory that was there before (another life's under another
// group, a mount with mode=0700) the group and the mode of one that we make,
// if gid may not traverse it: the gateway's launch would never find its token.
// A mounted 0711 is left as it is.
func letIn(dir *os.File, i fsafe.Info, gid uint32) error {
	if i.GID == gid && i.Mode&0o010 != 0 || i.GID != gid && i.Mode&0o001 != 0 {
		return nil
	}
	err := fsafe.Chmod(dir, 0o710)
	if err == nil {
		err = fsafe.Chown(dir, 0, gid)
	}
	if err != nil {
		return fmt.Errorf("cannot open the runtime directory to the gateway's group: %w", err)
	}
	return nil
}

// verify looks at the opened directory: what it is, and what it is mounted on.
func verify(dir, parent *os.File, unsafePath string, gid uint32, requireTmpfs bool) (*Dir, error) {
	if err := checkFS(dir, requireTmpfs); err != nil {
		return nil, err
	}
	i, err := fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: fsafe.ID(0), NotWritableByOthers: true})
	if err != nil {
		return nil, fmt.Errorf("cannot use the runtime directory: %w: mount it with --tmpfs %s:mode=0711,size=1m", err, unsafePath)
	}
	if err := letIn(dir, i, gid); err != nil {
		return nil, err
	}
	d := &Dir{File: dir, Path: unsafePath}
	p, err := fsafe.Stat(parent)
	if err != nil {
		return nil, err
	}
	if p.Dev == i.Dev { // not a mount of its own
		if err := checkParent(parent); err != nil {
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
			return nil, fmt.Errorf("%w: %s is mounted as %s", errNotMemory, m.Mountpoint, m.FSType)
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
		return fmt.Errorf("%w: %s has file system type %#x", errNotMemory, f.Name(), magic)
	}
	return nil
}

// checkParent refuses a directory in which somebody else could rename ours away.
func checkParent(parent *os.File) error {
	i, err := fsafe.Verify(parent, fsafe.Want{Type: fsafe.Directory, UID: fsafe.ID(0)})
	if err == nil && i.Mode&0o022 != 0 && i.Mode&0o1000 == 0 {
		err = &fsafe.UnsafeError{UnsafePath: parent.Name(), Problem: fmt.Sprintf("is writable by others and not sticky (mode %04o)", i.Mode)}
	}
	if err != nil {
		return fmt.Errorf("cannot trust the runtime directory's parent: %w: chown root and chmod 0755 or 1777 it", err)
	}
	return nil
}

// mountOf is the mount that unsafePath lies on: the longest mount point that is
// a prefix of it; of two at one place the later one covers the other.
func mountOf(unsafePath string) (*mountinfo.Info, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot read mounts: %w", err)
	}
	defer f.Close()
	var best *mountinfo.Info
	_, err = mountinfo.GetMountsFromReader(f, func(m *mountinfo.Info) (skip, stop bool) {
		root := strings.TrimSuffix(m.Mountpoint, "/")
		if (unsafePath == m.Mountpoint || strings.HasPrefix(unsafePath, root+"/")) &&
			(best == nil || len(m.Mountpoint) >= len(best.Mountpoint)) {
			c := *m
			best = &c
		}
		return true, false
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read mounts: %w", err)
	}
	if best == nil {
		return nil, fmt.Errorf("cannot find the mount of %s", unsafePath)
	}
	return best, nil
}
