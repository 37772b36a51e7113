// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Reserved is a file that can be replaced although its file system is full. A second
// file keeps the space for that, which others could take otherwise.
type Reserved struct {
	dir  *os.File
	name string
	size int64
	lost bool // there is no reserve: it took the place of a missing file, or was removed
}

// ReserveSuffix marks the file that keeps the space.
const ReserveSuffix = ".reserve"

// NewReserved makes the file that keeps size bytes for name in dir. A leftover of it must
// have been removed.
func NewReserved(dir *os.File, name string, size int64) (*Reserved, error) {
	r := &Reserved{dir: dir, name: name, size: size}
	return r, r.reserve()
}

func (r *Reserved) reserve() error {
	f, err := r.write(r.name+ReserveSuffix, nil)
	if err != nil {
		return err
	}
	return f.Close()
}

// Replace writes data as Replace does, with mode 0600. If the file system is full, it
// writes into the reserve instead, and swaps the two files. Then no reader sees a part
// of the new content, and the old file is the next reserve. A reader that still has that
// one open when it is written reads a mixture. So data is JSON, after which spaces may
// stand, and its reader reads again if it cannot be parsed. A reserve that was used up is
// made again when there is space.
func (r *Reserved) Replace(data []byte) error {
	f, err := r.write(r.name+NewSuffix, data)
	if errors.Is(err, unix.ENOSPC) && !r.lost {
		return r.swap(data)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := rename(r.dir, r.name+NewSuffix, r.name, 0); err != nil {
		return errors.Join(err, Remove(r.dir, r.name+NewSuffix))
	}
	if r.lost {
		r.lost = r.reserve() != nil
	}
	return nil
}

// write is WriteNew for a file that has at least size bytes of space.
func (r *Reserved) write(name string, data []byte) (*os.File, error) {
	f, err := WriteNew(r.dir, name, data, 0o600, nil)
	if err != nil {
		return nil, err
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, r.size)
	runtime.KeepAlive(f)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		f.Close()
		return nil, errors.Join(&os.PathError{Op: "fallocate", Path: f.Name(), Err: err}, Remove(r.dir, name))
	}
	return f, nil
}

func (r *Reserved) swap(data []byte) error {
	name := r.name + ReserveSuffix
	f, i, err := openOwn(r.dir, name)
	if err != nil {
		r.lost = errors.Is(err, fs.ErrNotExist)
		return err
	}
	defer f.Close()
	padded := append(bytes.Clone(data), bytes.Repeat([]byte(" "), int(max(0, i.Size-int64(len(data)))))...)
	if _, err := f.WriteAt(padded, 0); err != nil {
		return err
	}
	err = Exchange(r.dir, name, r.dir, r.name)
	_, missing := StatAt(r.dir, name)
	r.lost = errors.Is(missing, fs.ErrNotExist)
	return err
}

// openOwn opens a regular file of ours for writing.
func openOwn(dir *os.File, name string) (*os.File, Info, error) {
	f, err := OpenAt(dir, name, unix.O_WRONLY)
	if err != nil {
		return nil, Info{}, err
	}
	i, err := Verify(f, Want{Type: Regular, UID: ID(uint32(os.Geteuid())), Links: 1})
	if err != nil {
		f.Close()
		return nil, i, err
	}
	return f, i, nil
}

// Overwrite writes data over the content of name in dir, which is a file of ours. It needs
// no space if the file has had that much. A reader may see a part of data, so the file
// must be one that nobody expects to read.
func Overwrite(dir *os.File, name string, data []byte) error {
	f, _, err := openOwn(dir, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(data)))
}

// Exchange swaps two names of files in one step for every reader (renameat2(2) with
// RENAME_EXCHANGE, Linux 3.15). If there is no file to, or an old seccomp profile refuses
// the flag, it renames the file from, and nothing has that name any more.
func Exchange(dir *os.File, from string, toDir *os.File, to string) error {
	if err := errors.Join(checkName(from, join(dir, from)), checkName(to, join(toDir, to))); err != nil {
		return err
	}
	err := unix.Renameat2(int(dir.Fd()), from, int(toDir.Fd()), to, unix.RENAME_EXCHANGE)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		err = unix.Renameat(int(dir.Fd()), from, int(toDir.Fd()), to)
	}
	runtime.KeepAlive(dir)
	runtime.KeepAlive(toDir)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: join(dir, from), New: join(toDir, to), Err: err}
	}
	return nil
}
