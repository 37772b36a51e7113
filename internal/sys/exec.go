// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// CloseOnExec marks one descriptor close-on-exec.
func CloseOnExec(fd int) { unix.CloseOnExec(fd) }

// Close closes a descriptor that no os.File owns.
func Close(fd int) { unix.Close(fd) }

// Duplicate returns a close-on-exec copy of fd above 2, which shares its file
// description. The caller owns it.
func Duplicate(fd int, name string) (*os.File, error) { return DuplicateFrom(fd, 3, name) }

// DuplicateFrom is Duplicate with a descriptor not below least.
func DuplicateFrom(fd, least int, name string) (*os.File, error) {
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, least)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(copied), name), nil
}

// MoveForExec makes to a copy of from that stays open across execve(2), and closes the
// file that to was.
func MoveForExec(from, to int) error {
	return retry("dup3", func() error { return unix.Dup3(from, to, 0) })
}

// CloseOnExecFrom marks every descriptor from first on close-on-exec. It uses
// close_range(2) with CLOSE_RANGE_CLOEXEC (Linux 5.11). If an older kernel or a
// seccomp profile refuses that, it goes through /proc/self/fd.
func CloseOnExecFrom(first int) {
	if unix.CloseRange(uint(first), ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	fds, err := openFDs()
	if err != nil { // no /proc; files that this process opened are marked anyway
		return
	}
	for _, fd := range fds {
		if fd >= first {
			unix.CloseOnExec(fd)
		}
	}
}

// DefaultInherited gives SIGTTOU and the signals 32 to 34 their default action again. Go's
// runtime leaves them as they were inherited, so one that a parent ignored would stay
// ignored. Call it only right before an exec, because the runtime uses 33 itself.
func DefaultInherited() { DefaultSignals(unix.SIGTTOU, 32, 33, 34) }

// LookPath finds a program as execvp(3) does. It looks for a name without a slash in
// the absolute entries of the PATH of env. EACCES wins over ENOENT, so that a caller
// can tell exit code 126 from 127.
func LookPath(name string, env []string) (string, error) {
	if name == "" {
		return "", unix.ENOENT
	}
	if strings.Contains(name, "/") {
		return name, nil
	}
	result := error(unix.ENOENT)
	for _, kv := range env {
		list, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range strings.Split(list, ":") {
			if dir == "" || dir[0] != '/' { // never the current directory
				continue
			}
			path := dir + "/" + name
			switch err := executable(path); err {
			case nil:
				return path, nil
			case unix.EACCES:
				result = err
			}
		}
	}
	return "", result
}

// ExecSize describes the sizes that execve(2) judges, for the message of an E2BIG.
func ExecSize(argv, env []string) string {
	size, longest := 0, 0
	for _, list := range [][]string{argv, env} {
		for _, text := range list {
			size += len(text) + 1 + pointerSize
			longest = max(longest, len(text)+1)
		}
	}
	var stack unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_STACK, &stack); err != nil {
		stack.Cur = unix.RLIM_INFINITY
	}
	limit := min(max(stack.Cur/4, 128<<10), 6<<20) // fs/exec.c, bprm_stack_limits
	return fmt.Sprintf("arguments and environment have %d bytes with their pointers (the kernel takes %d, a quarter of ulimit -s), the longest has %d (%d)",
		size, limit, longest, 32*os.Getpagesize())
}

// pointerSize is the size of a pointer to an argument or a variable.
const pointerSize = 8

// executable returns nil if the caller may execute the regular file at path.
func executable(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EACCES
	}
	return unix.Access(path, unix.X_OK)
}
