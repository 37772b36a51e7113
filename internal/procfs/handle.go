// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// maxArgv bounds the arguments that are read.
const maxArgv = 64 << 10

// tries is how often the volatile fields may differ between two readings.
const tries = 8

// Handle holds the open /proc/PID of a process, and /proc itself. Everything about
// the process is read through the one descriptor. When the process has ended, that
// descriptor answers nothing any more, even if another process has its pid then
// (proc(5); the inode is the task's).
type Handle struct {
	pid  int
	root *os.File
	dir  *os.File
}

// Open opens /proc/PID. The caller must Close it.
func Open(pid int) (*Handle, error) {
	root, err := openRoot()
	if err != nil {
		return nil, err
	}
	dir, err := fsafe.OpenDirAt(root, strconv.Itoa(pid))
	if err != nil {
		root.Close()
		return nil, whyUnseen(pid, err)
	}
	return &Handle{pid, root, dir}, nil
}

// Check returns an error unless /proc is the procfs of our own PID namespace.
func Check() error {
	root, err := openRoot()
	if err != nil {
		return err
	}
	return root.Close()
}

// openRoot opens /proc and checks that it is procfs, and that its pids mean the same
// processes as those of system calls. Another file system in its place could show
// processes that do not exist. In the /proc of another PID namespace (a bind mount, or
// unshare(1) without --mount-proc) "self" has another number, or none.
func openRoot() (*os.File, error) {
	root, err := fsafe.OpenDir("/proc")
	if err != nil {
		return nil, err
	}
	if magic, err := sys.FSMagic(root); err != nil || magic != sys.ProcMagic {
		root.Close()
		return nil, errProc
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		root.Close()
		return nil, errForeign
	}
	return root, nil
}

// Close closes both descriptors.
func (p *Handle) Close() {
	p.dir.Close()
	p.root.Close()
}

// markGone adds ErrGone to err if err is the kernel's answer about a process that
// has ended.
func markGone(err error) error {
	if IsGone(err) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// Snapshot reads the process twice, and both readings must be equal. If only the
// volatile fields differ, it reads again, a few times.
func (p *Handle) Snapshot() (Snapshot, error) {
	before, err := p.read()
	if err != nil {
		return Snapshot{}, err
	}
	for range tries {
		after, err := p.read()
		if err == nil {
			err = before.compareStable(after)
		}
		if err != nil {
			return Snapshot{}, err
		}
		if err = before.compareVolatile(after); err == nil {
			return after, nil
		}
		before = after
	}
	return Snapshot{}, fmt.Errorf("%w: it changes all the time", ErrChanged)
}

// Verify returns nil if the process is alive and still the one that s shows. Its name,
// arguments, state and threads may have changed meanwhile.
func (p *Handle) Verify(s Snapshot) error {
	now, err := p.read()
	if err != nil {
		return err
	}
	if err := s.compareStable(now); err != nil {
		return err
	}
	if now.Ended() {
		return fmt.Errorf("%w: it is a zombie", ErrGone)
	}
	return nil
}

// read makes one reading.
func (p *Handle) read() (s Snapshot, err error) {
	here, err := fsafe.Stat(p.dir)
	if err != nil {
		return s, markGone(err)
	}
	text, err := p.file("stat", maxStat)
	if err != nil {
		return s, err
	}
	stat, err := parseStat(text)
	if err != nil {
		return s, err
	}
	status, err := p.status()
	if err != nil {
		return s, err
	}
	argv, err := p.file("cmdline", maxArgv)
	if err != nil {
		return s, err
	}
	s = Snapshot{PID: stat.PID, Start: stat.Start, Session: stat.Session, Status: status, Dev: here.Dev, Ino: here.Ino, Comm: stat.Comm}
	if len(argv) > 0 {
		s.Argv = strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00")
	}
	if _, s.PIDNS, err = p.target("ns/pid"); err == nil {
		s.ExeDev, s.ExeIno, err = p.target("exe")
	}
	if err != nil {
		return s, err
	}
	// The path leads to another directory if another process has the pid now, or if
	// something was mounted over it.
	again, err := fsafe.StatAt(p.root, strconv.Itoa(p.pid))
	if err != nil {
		return s, markGone(err)
	}
	if !again.Same(here) || stat.PID != p.pid || status.PPID != stat.PPID {
		return s, fmt.Errorf("%w: its directory in /proc", ErrChanged)
	}
	return s, nil
}

func (p *Handle) status() (Status, error) {
	text, err := p.file("status", maxStatus)
	if err != nil {
		return Status{}, err
	}
	return parseStatus(text)
}

// file returns the content of a file of the process, at most max bytes.
func (p *Handle) file(name string, max int) ([]byte, error) {
	f, err := fsafe.OpenAt(p.dir, name, os.O_RDONLY)
	if err != nil {
		return nil, markGone(err)
	}
	defer f.Close()
	data, err := fsafe.ReadAll(f, max)
	return data, markGone(err)
}

// path returns a path through the held descriptor, not by pid.
func (p *Handle) path(name string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(p.dir.Fd())) + "/" + name
}

// target returns the device and inode of the file that a link in /proc/PID leads
// to. It returns 0, 0 if we may not see it (ptrace(2), access mode checking) or
// there is none (a zombie's program).
func (p *Handle) target(link string) (dev, ino uint64, err error) {
	st, err := os.Stat(p.path(link))
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return 0, 0, nil
	case err != nil:
		return 0, 0, markGone(err)
	}
	i, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("cannot parse stat of %s", link)
	}
	return i.Dev, i.Ino, nil
}

// Environ returns the environment that the process was started with, at most max
// bytes. That needs the right to trace the process, as Network does.
func (p *Handle) Environ(max int) ([]byte, error) { return p.file("environ", max) }

// Network opens the network namespace of the process. The caller must close the file.
func (p *Handle) Network() (*os.File, error) {
	f, err := os.Open(p.path("ns/net"))
	return f, markGone(err)
}
