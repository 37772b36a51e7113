// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// NewSuffix marks a file that is being written. One that a killed writer left
// behind is removed by the next write to the same name.
const NewSuffix = ".new"

// Replace writes data as the regular file name in dir, owned by the caller, in one
// step for every reader. It writes name.new and renames it over name. On any error
// the old content stays. perm is exact, whatever the umask is.
func Replace(dir *os.File, name string, data []byte, perm uint32) (err error) {
	f, err := WriteNew(dir, name+NewSuffix, data, perm, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := rename(dir, name+NewSuffix, name, 0); err != nil {
		return errors.Join(err, Remove(dir, name+NewSuffix))
	}
	return nil
}

// Owner is a uid and gid for WriteNew.
type Owner struct{ UID, GID uint32 }

// WriteNew creates name in dir with data, mode perm and, if owner is not nil,
// that owner. It removes a regular file of that name first (from a killed writer).
// If it fails it removes its own file. The open descriptor is returned so that the
// caller can go on by inode; the caller owns it.
//
// The mode is set before the owner, because after the fchown(2) a root without
// CAP_FOWNER and CAP_DAC_OVERRIDE may no longer fchmod(2) the file.
func WriteNew(dir *os.File, name string, data []byte, perm uint32, owner *Owner) (_ *os.File, err error) {
	f, err := CreateAt(dir, name, perm)
	if errors.Is(err, fs.ErrExist) {
		if err := removeStale(dir, name); err != nil {
			return nil, err
		}
		f, err = CreateAt(dir, name, perm)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, Remove(dir, name))
			f.Close()
		}
	}()
	if _, err = f.Write(data); err != nil {
		return nil, err
	}
	if err = Chmod(f, perm); err != nil {
		return nil, err
	}
	if owner != nil {
		if err = Chown(f, owner.UID, owner.GID); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// removeStale unlinks name only if it is a regular file with one link.
func removeStale(dir *os.File, name string) error {
	if _, err := VerifyAt(dir, name, Want{Type: Regular, Links: 1}); err != nil {
		return err
	}
	return Remove(dir, name)
}

// ErrRemove is the remedy at the end of an error about a file that must not be
// there. An error that matches it names the remedy already.
var ErrRemove = errors.New("remove it")

// RemoveLeftover removes our file name of a previous run from dir, if it is there. It
// must be a regular file with one link, owned by one of the uids. Any other entry
// stays, and the error names it.
func RemoveLeftover(dir *os.File, name string, uids ...uint32) error {
	i, err := VerifyAt(dir, name, Want{Type: Regular, Links: 1})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && slices.Contains(uids, i.UID):
		return Remove(dir, name)
	case err == nil:
		err = &UnsafeError{join(dir, name), fmt.Sprintf("is owned by uid %d", i.UID)}
	}
	return fmt.Errorf("%w: %w", err, ErrRemove)
}

// Install renames from to name in dir; an existing name is an error
// (renameat2(2) with RENAME_NOREPLACE, Linux 3.15). If the file system or an old
// seccomp profile refuses the flag, the name is looked up first. That is not atomic,
// but only the owner of dir could come in between. (linkat(2) does not help, because
// with protected_hardlinks a file that was given away may not be linked.)
func Install(dir *os.File, from, name string) error {
	err := rename(dir, from, name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return installSlow(dir, from, name)
	}
	return err
}

func installSlow(dir *os.File, from, name string) error {
	switch _, err := StatAt(dir, name); {
	case err == nil:
		return &os.LinkError{Op: "rename", Old: join(dir, from), New: join(dir, name), Err: unix.EEXIST}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return rename(dir, from, name, 0)
}

// Rename renames from over name in dir.
func Rename(dir *os.File, from, name string) error { return rename(dir, from, name, 0) }

func rename(dir *os.File, from, to string, flags uint) error {
	if err := errors.Join(checkName(from, join(dir, from)), checkName(to, join(dir, to))); err != nil {
		return err
	}
	fd := int(dir.Fd())
	var err error
	if flags == 0 {
		err = unix.Renameat(fd, from, fd, to)
	} else {
		err = unix.Renameat2(fd, from, fd, to, flags)
	}
	runtime.KeepAlive(dir)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: join(dir, from), New: join(dir, to), Err: err}
	}
	return nil
}

// Remove unlinks the non-directory name in dir.
func Remove(dir *os.File, name string) error { return unlink(dir, name, 0) }

// RemoveDir removes the empty directory name in dir.
func RemoveDir(dir *os.File, name string) error { return unlink(dir, name, unix.AT_REMOVEDIR) }

func unlink(dir *os.File, name string, flags int) error {
	full := join(dir, name)
	if err := checkName(name, full); err != nil {
		return err
	}
	err := unix.Unlinkat(int(dir.Fd()), name, flags)
	runtime.KeepAlive(dir)
	if err != nil {
		return &os.PathError{Op: "unlink", Path: full, Err: err}
	}
	return nil
}

// MakeDir creates the directory name in dir with exactly perm. perm need not let the
// owner in, because the mode is set after the open. If MakeDir fails it leaves
// nothing behind.
func MakeDir(dir *os.File, name string, perm uint32) (*os.File, error) {
	full := join(dir, name)
	if err := checkName(name, full); err != nil {
		return nil, err
	}
	err := unix.Mkdirat(int(dir.Fd()), name, 0o700)
	runtime.KeepAlive(dir)
	if err != nil {
		return nil, &os.PathError{Op: "mkdir", Path: full, Err: err}
	}
	f, err := OpenDirAt(dir, name)
	if err != nil {
		return nil, errors.Join(err, RemoveDir(dir, name))
	}
	if err := Chmod(f, perm); err != nil {
		f.Close()
		return nil, errors.Join(err, RemoveDir(dir, name))
	}
	return f, nil
}

// MakeFIFO creates the FIFO name in dir with exactly perm, opens both of its
// ends on one descriptor (O_RDWR never sees end of file, fifo(7)) and verifies
// it. The caller owns the descriptor; it is non-blocking.
func MakeFIFO(dir *os.File, name string, perm uint32) (*os.File, Info, error) {
	full := join(dir, name)
	if err := checkName(name, full); err != nil {
		return nil, Info{}, err
	}
	err := unix.Mkfifoat(int(dir.Fd()), name, perm)
	runtime.KeepAlive(dir)
	if err != nil {
		return nil, Info{}, &os.PathError{Op: "mkfifo", Path: full, Err: err}
	}
	f, err := OpenAt(dir, name, unix.O_RDWR)
	if err != nil {
		return nil, Info{}, err
	}
	i, err := Verify(f, Want{Type: FIFO, UID: ID(uint32(os.Geteuid())), Links: 1})
	if err == nil {
		err = Chmod(f, perm)
	}
	if err != nil {
		f.Close()
		return nil, Info{}, err
	}
	return f, i, nil
}

// Chmod calls fchmod(2).
func Chmod(f *os.File, perm uint32) error {
	err := unix.Fchmod(int(f.Fd()), perm)
	runtime.KeepAlive(f)
	if err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	return nil
}

// Chown calls fchown(2). It needs CAP_CHOWN.
func Chown(f *os.File, uid, gid uint32) error {
	err := unix.Fchown(int(f.Fd()), int(uid), int(gid))
	runtime.KeepAlive(f)
	if err != nil {
		return fmt.Errorf("cannot give %s to %d:%d: %w", f.Name(), uid, gid, err)
	}
	return nil
}
