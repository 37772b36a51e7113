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

// Pidfd returns a pidfd of the process that k names. It proves the key after it has
// opened the pidfd. Before that another process may have got the pid. From then on
// the descriptor means that one process. The error is ErrNoPidfd if no pidfd can be
// had. The caller must Close the file.
func (p *Proc) Pidfd(k Key) (*os.File, error) { return p.pidfd(k, sys.PidfdOpen) }

func (p *Proc) pidfd(k Key, open func(pid int) (int, error)) (*os.File, error) {
	fd, err := open(p.pid)
	switch {
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL): // EINVAL: no PIDFD_NONBLOCK
		return nil, fmt.Errorf("%w: %w", ErrNoPidfd, err)
	case err != nil:
		return nil, whether(err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	if err := p.Prove(k); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Signal sends sig to the process of a pidfd. The error is ESRCH if it has ended.
func Signal(pidfd *os.File, sig unix.Signal) error { return sys.PidfdSignal(int(pidfd.Fd()), sig) }
