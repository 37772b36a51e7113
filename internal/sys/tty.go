// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Mode is the behavior of a terminal (termios(3)).
type Mode struct{ termios unix.Termios }

// MakeRaw makes the terminal f pass every byte unchanged, both ways, and returns its
// former mode (cfmakeraw(3)). A background process group that calls it is stopped
// until it is in the foreground (SIGTTOU).
func MakeRaw(f *os.File) (Mode, error) {
	var before Mode
	err := control(f, "tcgetattr", func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			before.termios = *t
		}
		return err
	})
	if err != nil {
		return before, err
	}
	raw := before
	t := &raw.termios
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return before, setMode(f, raw)
}

// SetMode gives the terminal f a former mode back, from a background process group
// too, because a process that restores a terminal must not be stopped for that.
func SetMode(f *os.File, m Mode) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return withoutTTOU(func() error { return setMode(f, m) })
}

func setMode(f *os.File, m Mode) error {
	return control(f, "tcsetattr", func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETSW, &m.termios) })
}

// CopySize gives the terminal to the size of the terminal from; the kernel
// sends SIGWINCH to its foreground group if that is a change.
func CopySize(from, to *os.File) error {
	var size *unix.Winsize
	if err := control(from, "ioctl", func(fd int) (err error) {
		size, err = unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		return err
	}); err != nil {
		return err
	}
	return control(to, "ioctl", func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
}

// SignalForeground sends SIGINT, SIGQUIT or SIGTSTP to the foreground group of
// the pseudo-terminal whose master is f (TIOCSIG, Linux 2.6.36). The kernel knows
// the group, so no pid can be a recycled one.
func SignalForeground(f *os.File, sig unix.Signal) error {
	const tiocsig = 0x40045436 // not in x/sys; the same on every Linux that Go has
	return control(f, "ioctl", func(fd int) error { return unix.IoctlSetInt(fd, tiocsig, int(sig)) })
}

// GiveStdio makes uid the owner of fd, if that is a terminal or a pipe without a name. Only
// the owner can open it again, as /dev/stdout or /dev/tty's name. Files that others reach
// by a name keep their owner. fd may be closed.
func GiveStdio(fd int, uid uint32) error {
	const pipefs, devpts = 0x50495045, 0x1cd1 // statfs(2)
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil || st.Type != pipefs && st.Type != devpts {
		return nil
	}
	return os.NewSyscallError("fchown", unix.Fchown(fd, int(uid), -1))
}

// NonBlocking returns f again, with the same file description, for Go's poller. A
// wait in the poller ties up no thread and has deadlines. The caller owns both.
func NonBlocking(f *os.File) (*os.File, error) {
	var again *os.File
	err := control(f, "fcntl", func(fd int) error {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		if err := unix.SetNonblock(copied, true); err != nil {
			unix.Close(copied)
			return err
		}
		again = os.NewFile(uintptr(copied), f.Name())
		return nil
	})
	return again, err
}

// control runs a system call on the descriptor of f. f.Fd() would make it a
// blocking one.
func control(f *os.File, name string, call func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := c.Control(func(fd uintptr) {
		failed = retry(name, func() error { return call(int(fd)) })
	}); err != nil {
		return err
	}
	return failed
}
