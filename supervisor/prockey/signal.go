package prockey

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"gatewayinit/internal/sys"
)

// Pidfd is a pidfd of the process that k names. The key is proved after the
// pidfd was opened: before that the pid may have become somebody else's, from
// then on the descriptor means that one process. ErrNoPidfd: there is none to be
// had. The caller must Close it.
func (p *Proc) Pidfd(k Key) (*os.File, error) { return p.pidfd(k, sys.PidfdOpen) }

func (p *Proc) pidfd(k Key, open func(pid int) (int, error)) (*os.File, error) {
	fd, err := open(p.pid)
	switch {
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL): // the last: no PIDFD_NONBLOCK
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

// Signal sends sig to the process of a pidfd. ESRCH: it has ended.
func Signal(pidfd *os.File, sig unix.Signal) error { return sys.PidfdSignal(int(pidfd.Fd()), sig) }
