// SPDX-License-Identifier: Apache-2.0

// Package fsafe opens, verifies, creates and replaces files by descriptor.
//
// A path is looked up once, component by component and without following any
// link. The opened file is verified on its descriptor, and everything after that
// works on descriptors and single names. So a link, a mount or a swapped directory
// can make an operation fail, but never redirect it.
//
// Not defended: a process that can write a directory that is trusted here (root),
// and a file whose content changes while it is read. The path is walked because
// gVisor has no openat2(2); each step is openat(2) with O_NOFOLLOW.
package fsafe

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnsafe is the family of refusals of a file that exists and is not as it must
// be. errors.Is(err, ErrUnsafe) matches every *UnsafeError.
var ErrUnsafe = errors.New("unsafe file")

// UnsafeError names a path and its problem. The path is for messages only.
type UnsafeError struct {
	UnsafePath string
	Problem    string
}

func (e *UnsafeError) Error() string   { return e.UnsafePath + ": " + e.Problem }
func (e *UnsafeError) Is(t error) bool { return t == ErrUnsafe }

// OpenDir opens the directory at an absolute, clean path, following no link in
// any component. The caller owns the descriptor.
func OpenDir(unsafePath string) (*os.File, error) {
	if !path.IsAbs(unsafePath) || path.Clean(unsafePath) != unsafePath {
		return nil, &UnsafeError{unsafePath, "is not an absolute, clean path"}
	}
	fd, err := openRaw(unix.AT_FDCWD, "/", unix.O_DIRECTORY|unix.O_PATH, 0, "/")
	if err != nil {
		return nil, err
	}
	names := strings.Split(unsafePath[1:], "/")
	for i, name := range names {
		if name == "" { // unsafePath is "/"
			name = "."
		}
		flags := unix.O_DIRECTORY | unix.O_PATH
		if i == len(names)-1 {
			flags = unix.O_DIRECTORY
		}
		next, err := openRaw(fd, name, flags, 0, "/"+strings.Join(names[:i+1], "/"))
		unix.Close(fd)
		if err != nil {
			return nil, err
		}
		fd = next
	}
	return os.NewFile(uintptr(fd), unsafePath), nil
}

// OpenDirAt opens the directory name in dir. The caller owns the descriptor.
func OpenDirAt(dir *os.File, name string) (*os.File, error) {
	return OpenAt(dir, name, unix.O_DIRECTORY)
}

// Again opens the directory that dir holds once more. The new description shares
// no lock with dir's, which children may inherit. The caller owns the descriptor.
func Again(dir *os.File) (*os.File, error) {
	return openat(dir, ".", unix.O_DIRECTORY, 0, dir.Name())
}

// OpenAt opens name in dir with flags (O_RDONLY, O_WRONLY, O_PATH, ...).
// O_NOFOLLOW, O_CLOEXEC and, unless flags have O_DIRECTORY, O_NONBLOCK are added, because
// a FIFO or device planted in place of a file must not make the open hang. The caller owns
// the descriptor.
func OpenAt(dir *os.File, name string, flags int) (*os.File, error) {
	full := join(dir, name)
	if err := checkName(name, full); err != nil {
		return nil, err
	}
	return openat(dir, name, flags, 0, full)
}

// CreateAt creates the regular file name in dir, open for reading and writing; an existing entry
// of any type is an error (O_EXCL). The caller owns the descriptor.
func CreateAt(dir *os.File, name string, perm uint32) (*os.File, error) {
	full := join(dir, name)
	if err := checkName(name, full); err != nil {
		return nil, err
	}
	return openat(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, perm, full)
}

// openat opens name in dir.
func openat(dir *os.File, name string, flags int, perm uint32, unsafePath string) (*os.File, error) {
	fd, err := openRaw(int(dir.Fd()), name, flags, perm, unsafePath)
	runtime.KeepAlive(dir)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), unsafePath), nil
}

// openRaw opens name in the directory dirfd. The caller owns the descriptor. A directory
// and a file that is created here never block, so they are not opened with O_NONBLOCK:
// the runtime would try to add them to its poller.
func openRaw(dirfd int, name string, flags int, perm uint32, unsafePath string) (fd int, err error) {
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	if flags&(unix.O_PATH|unix.O_DIRECTORY|unix.O_EXCL) == 0 {
		flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	}
	for {
		fd, err := unix.Openat(dirfd, name, flags, perm)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ELOOP, err == unix.ENOTDIR && flags&unix.O_DIRECTORY != 0:
			// O_NOFOLLOW answers ELOOP for a link, O_DIRECTORY answers ENOTDIR
			// for anything that is no directory, links included (open(2)).
			return -1, &UnsafeError{unsafePath, "is a symbolic link or not a directory"}
		case err != nil:
			return -1, &os.PathError{Op: "open", Path: unsafePath, Err: err}
		}
		return fd, nil
	}
}

// checkName refuses a name that would leave the directory.
func checkName(name, full string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return &UnsafeError{full, "is not a single file name"}
	}
	return nil
}

func join(dir *os.File, name string) string { return strings.TrimSuffix(dir.Name(), "/") + "/" + name }

// ErrTooLarge is the refusal of ReadAll.
var ErrTooLarge = errors.New("file is too large")

// ReadAll reads f from its start, at most max bytes; one byte more is
// ErrTooLarge. It does not trust the size that fstat(2) gives.
func ReadAll(f *os.File, max int) ([]byte, error) {
	buf := make([]byte, 0, min(max+1, 4096))
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := unix.Pread(int(f.Fd()), buf[len(buf):cap(buf)], int64(len(buf)))
		runtime.KeepAlive(f)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: f.Name(), Err: err}
		}
		buf = buf[:len(buf)+n]
		if len(buf) > max {
			return nil, fmt.Errorf("%s: %w (more than %d bytes)", f.Name(), ErrTooLarge, max)
		}
		if n == 0 {
			return buf, nil
		}
	}
}

// ReadAt returns the content of name in dir, at most max bytes, if the file is as w
// demands. The Info is that of the opened file, even if w refuses it.
func ReadAt(dir *os.File, name string, w Want, max int) ([]byte, Info, error) {
	f, err := OpenAt(dir, name, unix.O_RDONLY)
	if err != nil {
		return nil, Info{}, err
	}
	defer f.Close()
	info, err := Verify(f, w)
	if err != nil {
		return nil, info, err
	}
	data, err := ReadAll(f, max)
	return data, info, err
}
