// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// OutputPipe returns a pipe for the output of a child with that uid. Both ends have a file
// description of their own. r is for Go's poller, and w blocks. The child's user owns the
// pipe, so the child can open w again, as /dev/stdout. Its mode is 0200, so that no file
// tool of that user reads what is in it. Without CAP_CHOWN another uid's pipe stays ours, so
// the child cannot open it again. The caller owns both.
func OutputPipe(uid uint32) (r, w *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	err = os.NewSyscallError("fchmod", unix.Fchmod(p[0], 0o200)) // a pipe of another user needs CAP_FOWNER
	if owner := unix.Fchown(p[0], int(uid), -1); owner != unix.EPERM {
		err = errors.Join(err, os.NewSyscallError("fchown", owner))
	}
	err = errors.Join(err, os.NewSyscallError("fcntl", unix.SetNonblock(p[0], true)))
	r, w = os.NewFile(uintptr(p[0]), "output"), os.NewFile(uintptr(p[1]), "output")
	if err != nil {
		r.Close()
		w.Close()
		return nil, nil, err
	}
	return r, w, nil
}
