// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights of files that a Landlock ruleset can handle (landlock(7)).
const (
	LandlockReadFile = unix.LANDLOCK_ACCESS_FS_READ_FILE // open a file for reading, or execute it
	LandlockRefer    = unix.LANDLOCK_ACCESS_FS_REFER     // rename or link from one directory to another; ABI 2
)

// LandlockABI returns the version of the kernel's Landlock. The error is ENOSYS on a
// kernel without it, and EOPNOTSUPP where it is off since the kernel's start.
func LandlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return int(abi), errnoError("landlock_create_ruleset", errno)
}

// LandlockRuleset returns a ruleset that handles the rights of handled. A process with it
// has them only where a rule allows them. The caller owns the descriptor.
func LandlockRuleset(handled uint64) (fd int, err error) {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handled}
	const size = unsafe.Sizeof(attr.Handled_access_fs) // ABI 1 has no other field
	got, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	return int(got), errnoError("landlock_create_ruleset", errno)
}

// LandlockAllow adds a rule to a ruleset. It allows rights on the file at path, or on the
// directory there and all below it. A symbolic link at path is not followed.
func LandlockAllow(ruleset int, path string, rights uint64) error {
	fd, err := HoldPath(path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	return errnoError("landlock_add_rule", errno)
}

// LandlockRestrict puts a ruleset into force for the calling thread and all that it
// starts. It cannot be undone. It takes no_new_privs, otherwise the error is EPERM. The
// error is EBADF if ruleset is -1, which asks only whether the call is possible.
func LandlockRestrict(ruleset int) error {
	_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(ruleset), 0, 0)
	return errnoError("landlock_restrict_self", errno)
}

// errnoError returns the error of a raw system call. The calls of Landlock do not wait, so
// no signal interrupts them.
func errnoError(name string, errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return os.NewSyscallError(name, errno)
}

// HoldPath opens the file at path without access to its content (O_PATH). While it is
// open, the kernel keeps the inode that the path leads to. A symbolic link at path is not
// followed. The caller owns the descriptor.
func HoldPath(path string) (fd int, err error) { return openRaw(path, unix.O_PATH|unix.O_NOFOLLOW) }
