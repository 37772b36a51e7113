// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// ByAncestry sweeps where gateway and agent have our own uid. PID 1 and subreapers
// are handed orphans, generation by generation. So the remaining processes of the
// former gateway are those of our children that were seen below it while it lived,
// are in its session, or were executed with one of our tokens in the token variable.
// The agent is never executed with one of our tokens. The variable alone says
// nothing, because the container's environment may have preset it for all processes.
//
// Not found: a helper that made its own session and cleared its environment since
// the last look (docs/tcb.md). Found by mistake: an orphan of the agent that took
// the token and gave it to itself.
type ByAncestry struct {
	tokenEnv string
	ours     func(value []byte) bool
	noted    map[int]uint64     // pid and start time of the gateway's descendants
	nothing  bool               // the last Sweep found nothing
	child    func(pid int) bool // we started it, and it is told to end separately
	last     func() procfs.ID   // the last gateway; pid 0 means none
}

// NewByAncestry returns a sweeper that knows a gateway's process by the value of
// tokenEnv. ours reports whether a value is a token that was handed out since PID 1
// started. It must not keep the value.
func NewByAncestry(tokenEnv string, ours func(value []byte) bool) *ByAncestry {
	return &ByAncestry{tokenEnv: tokenEnv, ours: ours}
}

// Track sets two functions that only the methods call. child reports whether a pid
// is a child that was started here. last returns the last gateway, or pid 0 if no
// process of it is left.
func (d *ByAncestry) Track(child func(pid int) bool, last func() procfs.ID) {
	d.child, d.last = child, last
}

func (d *ByAncestry) gateway() int { return d.last().PID }

// Note records the gateway's descendants while it lives. An orphan no longer shows
// that it came from the gateway, so it is remembered until it has ended.
func (d *ByAncestry) Note() error {
	pid := d.gateway()
	if pid == 0 {
		return nil
	}
	tree, err := procfs.Tree(pid)
	if err != nil {
		return err
	}
	if len(tree) == 0 || tree[0].Verify() != nil {
		return nil // it has ended and left orphans, so the earlier record counts
	}
	noted := map[int]uint64{}
	for _, p := range tree {
		noted[p.PID] = p.Start
	}
	for pid, start := range d.noted {
		if _, seen := noted[pid]; !seen && !hasEnded(procfs.ID{PID: pid, Start: start}) {
			noted[pid] = start
		}
	}
	d.noted = noted
	return nil
}

func (d *ByAncestry) note(pid int, start uint64) {
	if d.noted == nil {
		d.noted = map[int]uint64{}
	}
	d.noted[pid] = start
}

// hasEnded reports whether that process has ended, beyond doubt.
func hasEnded(id procfs.ID) bool {
	err := id.VerifyExists()
	return errors.Is(err, procfs.ErrGone) || errors.Is(err, procfs.ErrReplaced)
}

// Terminate sends SIGTERM once, and SIGCONT, because a stopped process does not see
// SIGTERM. It reaches the remaining processes that are our children, and those that were
// noted below the gateway.
func (d *ByAncestry) Terminate() error {
	pids, err := d.left()
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGCONT} {
		reached := map[int]bool{}
		for _, pid := range pids {
			// Only we can reap our child, so until then its pid is not reused.
			sys.Kill(pid, sig)
			reached[pid] = true
		}
		for pid, start := range d.noted {
			if !reached[pid] {
				_ = procfs.ID{PID: pid, Start: start}.Signal(sig) // it may have ended
			}
		}
	}
	return err
}

// Sweep sends SIGKILL once. It must be called again while Alive returns true.
func (d *ByAncestry) Sweep() error {
	pids, err := d.left()
	d.nothing = len(pids) == 0 && err == nil
	for _, pid := range pids {
		// Only we can reap our child, so until then its pid is not reused.
		if e := sys.Kill(pid, unix.SIGKILL); e != nil && !errors.Is(e, unix.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Alive reports whether a process of the former gateway is left. If the sweep just
// before found none, no process can have forked one since.
func (d *ByAncestry) Alive() (bool, error) {
	if d.nothing {
		d.nothing, d.noted = false, nil
		return false, nil
	}
	pids, err := d.left()
	if len(pids) == 0 && err == nil {
		d.noted = nil
	}
	return len(pids) > 0, err
}

// left lists the remaining processes of the former gateway.
//
// The agent may leave thousands of orphans, and reading all of them takes as long
// as the stop of a gateway. So left asks for their sessions first. No process can
// enter an existing session (setsid(2)), and the number of a session is not reused
// while it has members. If one member is older than the gateway, no member descends
// from the gateway.
func (d *ByAncestry) left() (found []int, err error) {
	pids, err := Children()
	last := d.last()
	older := 0 // a session older than the gateway; 0 is one from outside
	for _, pid := range pids {
		if d.child(pid) && pid != last.PID {
			continue
		}
		session, errLook := sys.Session(pid)
		if _, seen := d.noted[pid]; errLook == nil && session == older && !seen {
			continue
		}
		st, errLook := procfs.ReadStat(pid)
		switch {
		case errors.Is(errLook, procfs.ErrGone):
		case errLook != nil: // a process that cannot be seen may be alive
			err = errors.Join(err, errLook)
		case st.PPID != os.Getpid(): // it is not our child
		case d.noted[pid] == st.Start, last.PID != 0 && st.Session == last.PID:
			found = append(found, pid)
		case st.Start < last.Start: // older than the gateway, so not its child
			older = st.Session
		case last.PID != 0 && d.hasToken(pid): // before the first gateway no process has a token
			found = append(found, pid)
			// A process that ends loses its environment first, and still listens.
			d.note(pid, st.Start)
		}
	}
	return found, err
}

// Signal sends sig to all other processes that descend from us, and as PID 1 to all
// that entered the container with our uid. It leaves out the gateway and its
// descendants, which are ended separately.
func (d *ByAncestry) Signal(_ uint32, sig syscall.Signal) {
	others, _ := d.others()
	for _, st := range others {
		signal(st, sig)
	}
}

// signal uses a pidfd, and sends sig only if the process is the one that was listed.
// In a PID namespace that is not our own, its pid may belong to another process now.
// If the kernel or a seccomp profile has no pidfd, our child gets its signal by pid.
// Only we can reap it, so until then its pid is not reused. Its own children are
// handed to us when it has ended.
func signal(st procfs.Stat, sig syscall.Signal) {
	if err := st.ID().Signal(sig); err != nil && st.PPID == os.Getpid() {
		sys.Kill(st.PID, sig)
	}
}

// Others reports whether any process that Signal would reach lives. One live child is
// enough for the answer, so /proc is not read through each time while thousands are
// left.
func (d *ByAncestry) Others(uint32) (bool, error) {
	pids, _ := Children() // without the list all processes are looked at
	for _, pid := range pids {
		st, err := procfs.ReadStat(pid)
		switch {
		case pid == d.gateway():
		case err == nil && st.PPID == os.Getpid() && !st.Ended(), errors.Is(err, procfs.ErrHidden) && maySignal(pid):
			return true, nil
		}
	}
	others, err := d.others()
	return len(others) > 0, err
}

// others lists the processes that Signal reaches. It looks through all of /proc, at
// the container's end only.
func (d *ByAncestry) others() ([]procfs.Stat, error) {
	all := map[int]procfs.Stat{}
	var unseen error
	err := procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		switch {
		case err == nil:
			all[pid] = st
		case procfs.IsGone(err), errors.Is(err, procfs.ErrHidden) && !maySignal(pid):
		default:
			unseen = errors.Join(unseen, err)
		}
		return nil
	})
	var found []procfs.Stat
	for pid, st := range all {
		if !st.Ended() && pid != os.Getpid() && d.other(all, pid) {
			found = append(found, st)
		}
	}
	return found, errors.Join(err, unseen)
}

// maySignal reports whether we may signal pid, by a signal that does nothing. A
// process that we may neither signal nor see (/proc with hidepid) belongs to
// another user, and the end of the container cannot wait for it.
func maySignal(pid int) bool { return !errors.Is(sys.Kill(pid, 0), unix.EPERM) }

// other reports whether pid is below us and not below the gateway. A process
// without a parent in our PID namespace (parent 0) has entered the namespace. If we
// are its PID 1, such a process is the container's, too, if it has our uid.
func (d *ByAncestry) other(all map[int]procfs.Stat, pid int) bool {
	for range len(all) {
		switch {
		case pid == d.gateway():
			return false
		case pid == os.Getpid():
			return true
		}
		st, known := all[pid]
		if !known {
			return false
		}
		if st.PPID == 0 {
			return os.Getpid() == 1 && hasOurUID(pid)
		}
		pid = st.PPID
	}
	return false // the list changed while it was read
}

// hasOurUID reports whether pid has our uid. We could not signal a process of another
// user, and would wait for it in vain.
func hasOurUID(pid int) bool {
	uid, err := procfs.ReadUID(pid)
	return err == nil && uid == uint32(os.Geteuid())
}

// Bounds. A value that is longer than any token is no token. An exec passes on at
// most 6 MiB (execve(2)). A process can make the kernel show far more
// (PR_SET_MM_MAP) to a reader that reads to the end.
const (
	maxValue   = 256
	maxEnviron = 8 << 20
)

// hasToken reports whether pid was executed with one of our tokens. It returns
// false if there is no answer (a zombie, a process that is not dumpable).
func (d *ByAncestry) hasToken(pid int) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer f.Close()
	return d.tokenIn(f)
}

func (d *ByAncestry) tokenIn(environ io.Reader) bool {
	buf := make([]byte, 4<<10)
	entry := make([]byte, 0, len(d.tokenEnv)+1+maxValue+1) // one byte more shows that it is longer
	defer func() {                                         // they may have held the token
		clear(buf)
		clear(entry[:cap(entry)])
	}()
	for left := maxEnviron; left > 0; {
		n, err := environ.Read(buf)
		left -= n
		for rest := buf[:max(n, 0)]; len(rest) > 0; {
			part, after, ended := bytes.Cut(rest, []byte{0})
			entry = append(entry, part[:min(len(part), cap(entry)-len(entry))]...)
			if ended && d.isToken(entry) {
				return true
			}
			if ended {
				entry = entry[:0]
			}
			rest = after
		}
		if n <= 0 || err != nil {
			return d.isToken(entry) // an entry without a NUL at its end
		}
	}
	return false
}

func (d *ByAncestry) isToken(entry []byte) bool {
	name, value, found := bytes.Cut(entry, []byte{'='})
	return found && string(name) == d.tokenEnv && len(value) <= maxValue && d.ours(value)
}
