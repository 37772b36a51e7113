// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// RaiseFiles raises RLIMIT_NOFILE to its hard limit, and returns that, at most most.
func RaiseFiles(most int) (int, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, os.NewSyscallError("setrlimit", err)
	}
	return int(min(l.Cur, uint64(most))), nil
}

// LimitFileSize keeps this process from making a file larger than size, for good. The
// write then fails with EFBIG, and its signal is ignored.
func LimitFileSize(size uint64) error {
	IgnoreSignals(unix.SIGXFSZ)
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: size}))
}

// IsOpen reports whether the descriptor is open.
func IsOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}
