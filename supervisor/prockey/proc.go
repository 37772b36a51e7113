package prockey

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"gatewayinit/internal/fsafe"
	"gatewayinit/internal/sys"
	"gatewayinit/supervisor/proof"
)

// Bounds of the files that are read.
const (
	maxStat   = 4 << 10
	maxStatus = 16 << 10
	maxArgv   = 64 << 10
)

// tries is how often two readings may differ in what passes.
const tries = 8

// Proc is a process that is held: its /proc/PID and /proc itself.
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

// openRoot opens /proc. What is mounted there instead would show processes that
// do not exist.
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

// Close lets go of it.
func (p *Proc) Close() {
	p.dir.Close()
	p.root.Close()
}

// whether makes ErrGone of what the kernel answers about a process that has
// ended.
func whether(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// Read reads the key twice; both must be one. What passes may differ and is read
// again, a few times.
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

// Prove is nil if p is alive and still who k names. Its name, arguments, state
// and threads may be others meanwhile.
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
	stat, err := proof.ParseStat(text)
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
	// The directory by its name is another one if the pid is somebody else's now,
	// or if something was mounted over it.
	again, err := fsafe.StatAt(p.root, strconv.Itoa(p.pid))
	if err != nil {
		return k, whether(err)
	}
	if !again.Same(here) || stat.PID != p.pid || status.PPID != stat.PPID {
		return k, fmt.Errorf("%w: its directory in /proc", ErrChanged)
	}
	return k, nil
}

// behind is the file that a link in /proc/PID leads to; 0, 0 if we may not see
// it (ptrace(2), access mode checking) or there is none (a zombie's program).
func (p *Proc) behind(name string) (dev, ino uint64, err error) {
	st, err := os.Stat("/proc/self/fd/" + strconv.Itoa(int(p.dir.Fd())) + "/" + name) // through what we hold, not by pid
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

// File is the content of a file of the process, at most max bytes.
func (p *Proc) File(name string, max int) ([]byte, error) {
	f, err := fsafe.OpenAt(p.dir, name, os.O_RDONLY)
	if err != nil {
		return nil, whether(err)
	}
	defer f.Close()
	data, err := fsafe.ReadAll(f, max)
	return data, whether(err)
}

// Network opens the network namespace of the process: it takes what tracing it
// takes.
func (p *Proc) Network() (*os.File, error) {
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(p.dir.Fd())) + "/ns/net")
	return f, whether(err)
}
