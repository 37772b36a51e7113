// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// ErrNoPidfd means that the kernel or a seccomp profile has no pidfd. There is no
// other safe way to signal or to watch a process that is not our child.
var ErrNoPidfd = errors.New("pidfd_open(2) is refused (it needs Linux 5.10 and a seccomp profile that permits it)")

// Pidfd returns a pidfd of the process, which must be alive. The caller must Close
// the file.
func (id ID) Pidfd() (*os.File, error) { return newPidfd(id.PID, sys.PidfdOpen, id.Verify) }

// Pidfd returns a pidfd of the process that s shows. The caller must Close the file.
func (p *Handle) Pidfd(s Snapshot) (*os.File, error) { return p.pidfd(s, sys.PidfdOpen) }

func (p *Handle) pidfd(s Snapshot, open func(pid int) (int, error)) (*os.File, error) {
	return newPidfd(p.pid, open, func() error { return p.Verify(s) })
}

// Signal sends sig to the process by a pidfd, and to no other process that has its
// pid by now.
func (id ID) Signal(sig syscall.Signal) error {
	fd, err := openPidfd(id.PID, sys.PidfdOpen, id.VerifyExists)
	if err != nil {
		return err
	}
	defer sys.Close(fd)
	return sys.PidfdSignal(fd, sig)
}

// Signal sends sig to the process of a pidfd. The error is ESRCH if it has ended.
func Signal(pidfd *os.File, sig unix.Signal) error { return sys.PidfdSignal(int(pidfd.Fd()), sig) }

func newPidfd(pid int, open func(pid int) (int, error), verify func() error) (*os.File, error) {
	fd, err := openPidfd(pid, open, verify)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// openPidfd calls verify after it has opened the pidfd. Before that another process
// may have got the pid. From then on the descriptor means that one process. The error
// is ErrNoPidfd if no pidfd can be had.
func openPidfd(pid int, open func(pid int) (int, error), verify func() error) (fd int, err error) {
	fd, err = open(pid)
	switch {
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL): // EINVAL: no PIDFD_NONBLOCK
		return -1, fmt.Errorf("%w: %w", ErrNoPidfd, err)
	case err != nil:
		return -1, markGone(err)
	}
	if err := verify(); err != nil {
		sys.Close(fd)
		return -1, err
	}
	return fd, nil
}
