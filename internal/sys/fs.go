// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Magic numbers of statfs(2) that callers compare with.
const (
	ProcMagic  = unix.PROC_SUPER_MAGIC
	TmpfsMagic = unix.TMPFS_MAGIC
	RamfsMagic = unix.RAMFS_MAGIC
	SysfsMagic = unix.SYSFS_MAGIC
)

// statfs calls fstatfs(2) for f.
func statfs(f *os.File) (st unix.Statfs_t, err error) {
	err = retry("fstatfs", func() error { return unix.Fstatfs(int(f.Fd()), &st) })
	runtime.KeepAlive(f)
	return st, err
}

// FSMagic returns the file system type of f (fstatfs(2)).
func FSMagic(f *os.File) (int64, error) {
	st, err := statfs(f)
	return int64(st.Type), err
}

// Space returns the free and the total bytes of f's file system. The total of a
// tmpfs without a bound is 0 (fstatfs(2)).
func Space(f *os.File) (free, total uint64, err error) {
	st, err := statfs(f)
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), err
}

// SpaceForFiles returns how many files f's file system has room for, and how many it has
// room for when it is empty. A file system that makes inodes as it needs them, or has no
// bound, says 0 (fstatfs(2)).
func SpaceForFiles(f *os.File) (free, total uint64, err error) {
	st, err := statfs(f)
	return st.Ffree, st.Files, err
}

// NoExec reports whether f is on a mount that lets nothing be executed (mount(8), noexec).
func NoExec(f *os.File) bool {
	st, err := statfs(f)
	return err == nil && st.Flags&unix.ST_NOEXEC != 0
}

// ReadOnly reports whether the file system at path is mounted read-only. It looks at
// the mount's flag, because access(2) says EACCES first if the mode alone refuses a
// root without CAP_DAC_OVERRIDE.
func ReadOnly(path string) bool {
	var st unix.Statfs_t
	err := retry("statfs", func() error { return unix.Statfs(path, &st) })
	return err == nil && st.Flags&unix.ST_RDONLY != 0
}

// IsReadOnly reports whether the file system of f is mounted read-only.
func IsReadOnly(f *os.File) bool {
	st, err := statfs(f)
	return err == nil && st.Flags&unix.ST_RDONLY != 0
}

// TryLock takes the exclusive lock of f's open file description (flock(2)), and
// reports whether the caller has it now. The kernel releases it with the last
// descriptor.
func TryLock(f *os.File) (bool, error) { return tryFlock(f, unix.LOCK_EX) }

// TrySharedLock takes the shared lock of f's open file description (flock(2)),
// and reports whether the caller has it now. Others may share it.
func TrySharedLock(f *os.File) (bool, error) { return tryFlock(f, unix.LOCK_SH) }

// Unlock releases the lock of f's open file description.
func Unlock(f *os.File) error {
	err := retry("flock", func() error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) })
	runtime.KeepAlive(f)
	return err
}

func tryFlock(f *os.File, how int) (bool, error) {
	err := retry("flock", func() error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) })
	runtime.KeepAlive(f)
	if isErrno(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// ReadOnce reads the file at path into buf by one read. It is for /proc, where one
// read gives everything. It costs three system calls and no garbage but the name.
func ReadOnce(path string, buf []byte) (n int, err error) {
	var fd int
	err = retry("open", func() (err error) { fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); return err })
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	err = retry("read", func() (err error) { n, err = unix.Read(fd, buf); return err })
	return max(n, 0), err
}

// ReadFile returns the content of the file at path. It is for small files, mostly of
// /proc. os.ReadFile makes twice as many system calls, because it prepares the file
// for the runtime's poller. The buffer is on the stack, because a page of the heap for
// each of some twenty files at boot would be kept until the first collection.
func ReadFile(path string) (data []byte, err error) {
	fd, err := openRaw(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for buf := [4096]byte{}; ; {
		n := 0
		if err := retry("read", func() (err error) { n, err = unix.Read(fd, buf[:]); return err }); err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if n <= 0 {
			return data, nil
		}
		data = append(data, buf[:n]...)
	}
}

// ReadNames returns the names in the directory at path, in no order.
func ReadNames(path string) (names []string, err error) {
	fd, err := openRaw(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for buf := [4096]byte{}; ; {
		n := 0
		if err := retry("getdents64", func() (err error) { n, err = unix.ReadDirent(fd, buf[:]); return err }); err != nil {
			return nil, &os.PathError{Op: "readdirent", Path: path, Err: err}
		}
		if n <= 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// OpenFile opens path and leaves it blocking, unless flags have O_NONBLOCK. os.OpenFile
// makes a pipe non-blocking, and tries that with every other file. The caller owns the
// descriptor.
func OpenFile(path string, flags int) (*os.File, error) {
	fd, err := openRaw(path, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openRaw opens path. The caller owns the descriptor.
func openRaw(path string, flags int) (fd int, err error) {
	err = retry("open", func() (err error) { fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0); return err })
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
	}
	return fd, nil
}

// Session returns the session of pid (getsid(2)), which takes no right. It costs a
// fiftieth of a read from /proc.
func Session(pid int) (int, error) {
	sid, err := unix.Getsid(pid)
	return sid, os.NewSyscallError("getsid", err)
}

// AppendTo makes every write to a regular file, by any holder of this description, go to
// its end (fcntl(2), O_APPEND). It does nothing for other files, for a descriptor that is
// only read, or for one that is closed.
func AppendTo(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_APPEND)
	}
	return os.NewSyscallError("fcntl", err)
}

// WriteQuietly writes to fd, which may have no reader any more. The write neither
// ends the process (SIGPIPE) nor stops it (SIGTTOU, from the background), and leaves
// no signal for a handler.
func WriteQuietly(fd int, data []byte) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, old unix.Sigset_t
	sigaddset(&block, unix.SIGTTOU)
	sigaddset(&block, unix.SIGPIPE)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) != nil {
		return
	}
	if _, err := unix.Write(fd, data); err == unix.EPIPE {
		var pipe unix.Sigset_t
		sigaddset(&pipe, unix.SIGPIPE)
		var now unix.Timespec
		unix.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&pipe)), 0, uintptr(unsafe.Pointer(&now)), 8, 0, 0)
	}
	unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}
