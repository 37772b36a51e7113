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

// Bounds of the files that are read.
const (
	maxStatus = 16 << 10
	maxArgv   = 64 << 10
)

// tries is how often the fields that passing compares may differ between two
// readings.
const tries = 8

// Proc holds the open /proc/PID of a process, and /proc itself.
type Proc struct {
	pid  int
	root *os.File
	dir  *os.File
}

// Open opens /proc/PID. The caller must Close it.
func Open(pid int) (*Proc, error) {
	root, err := openRoot()
	if err != nil {
		return nil, err
	}
	dir, err := fsafe.OpenDirAt(root, strconv.Itoa(pid))
	if err != nil {
		root.Close()
		return nil, whether(err)
	}
	return &Proc{pid, root, dir}, nil
}

// openRoot opens /proc and checks that it is procfs. Another file system in its
// place could show processes that do not exist.
func openRoot() (*os.File, error) {
	root, err := fsafe.OpenDir("/proc")
	if err != nil {
		return nil, err
	}
	if magic, err := sys.FSMagic(root); err != nil || magic != sys.ProcMagic {
		root.Close()
		return nil, errors.Join(errProc, err)
	}
	return root, nil
}

// Close closes both descriptors.
func (p *Proc) Close() {
	p.dir.Close()
	p.root.Close()
}

// whether adds ErrGone to err if err is the kernel's answer about a process that
// has ended.
func whether(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// Read reads the key twice, and both readings must be equal. If only the fields
// that passing compares differ, it reads again, a few times.
func (p *Proc) Read() (Key, error) {
	before, err := p.once()
	if err != nil {
		return Key{}, err
	}
	for range tries {
		after, err := p.once()
		if err == nil {
			err = before.identity(after)
		}
		if err != nil {
			return Key{}, err
		}
		if err = before.passing(after); err == nil {
			return after, nil
		}
		before = after
	}
	return Key{}, fmt.Errorf("%w: it changes all the time", ErrChanged)
}

// Prove returns nil if p is alive and still the process that k names. Its name,
// arguments, state and threads may have changed meanwhile.
func (p *Proc) Prove(k Key) error {
	now, err := p.once()
	if err != nil {
		return err
	}
	if err := k.identity(now); err != nil {
		return err
	}
	if now.Dead() {
		return fmt.Errorf("%w: it is a zombie", ErrGone)
	}
	return nil
}

func (p *Proc) once() (k Key, err error) {
	here, err := fsafe.Stat(p.dir)
	if err != nil {
		return k, whether(err)
	}
	text, err := p.File("stat", maxStat)
	if err != nil {
		return k, err
	}
	stat, err := ParseStat(text)
	if err != nil {
		return k, err
	}
	if text, err = p.File("status", maxStatus); err != nil {
		return k, err
	}
	status, err := ParseStatus(text)
	if err != nil {
		return k, err
	}
	argv, err := p.File("cmdline", maxArgv)
	if err != nil {
		return k, err
	}
	k = Key{
		PID: stat.PID, Start: stat.StartTicks, PPID: stat.PPID, Session: stat.Session, UIDs: status.UIDs, GIDs: status.GIDs, NSpid: status.NSpid,
		Dev: here.Dev, Ino: here.Ino, Comm: stat.Comm, State: status.State, Threads: status.Threads,
	}
	if len(argv) > 0 {
		k.Argv = strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00")
	}
	if _, k.PIDNS, err = p.behind("ns/pid"); err == nil {
		k.ExeDev, k.ExeIno, err = p.behind("exe")
	}
	if err != nil {
		return k, err
	}
	// The path leads to another directory if another process has the pid now, or if
	// something was mounted over it.
	again, err := fsafe.StatAt(p.root, strconv.Itoa(p.pid))
	if err != nil {
		return k, whether(err)
	}
	if !again.Same(here) || stat.PID != p.pid || status.PPID != stat.PPID {
		return k, fmt.Errorf("%w: its directory in /proc", ErrChanged)
	}
	return k, nil
}

// behind returns the device and inode of the file that a link in /proc/PID leads
// to. It returns 0, 0 if we may not see it (ptrace(2), access mode checking) or
// there is none (a zombie's program).
func (p *Proc) behind(name string) (dev, ino uint64, err error) {
	st, err := os.Stat("/proc/self/fd/" + strconv.Itoa(int(p.dir.Fd())) + "/" + name) // through the held descriptor, not by pid
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return 0, 0, nil
	case err != nil:
		return 0, 0, whether(err)
	}
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("%w: stat of %s", errForm, name)
	}
	return s.Dev, s.Ino, nil
}

// File returns the content of a file of the process, at most max bytes.
func (p *Proc) File(name string, max int) ([]byte, error) {
	f, err := fsafe.OpenAt(p.dir, name, os.O_RDONLY)
	if err != nil {
		return nil, whether(err)
	}
	defer f.Close()
	data, err := fsafe.ReadAll(f, max)
	return data, whether(err)
}

// Network opens the network namespace of the process. That needs the right to trace
// the process. The caller must close the file.
func (p *Proc) Network() (*os.File, error) {
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(p.dir.Fd())) + "/ns/net")
	return f, whether(err)
}
