// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// OutputPipe returns a pipe for the output of a child with that uid. Both ends have a file
// description of their own. r is for Go's poller, and w blocks. The child's user owns the
// pipe, so the child can open w again, as /dev/stdout. Its mode is 0200, so that no file
// tool of that user reads what is in it. Without CAP_CHOWN, or in gVisor, which changes no
// pipe, it stays ours alone, so the child cannot open it again. The caller owns both.
func OutputPipe(uid uint32) (r, w *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	// The mode comes before the owner, because then a change takes CAP_FOWNER.
	err = os.NewSyscallError("fchmod", unix.Fchmod(p[0], 0o200))
	if err == nil {
		err = os.NewSyscallError("fchown", unix.Fchown(p[0], int(uid), -1))
	}
	if err == nil || isErrno(err, unix.EPERM) {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(p[0], true))
	}
	if err != nil {
		unix.Close(p[0])
		unix.Close(p[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(p[0]), "output"), os.NewFile(uintptr(p[1]), "output"), nil
}
