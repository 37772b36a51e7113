package sweep

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"gatewayinit/internal/sys"
	"gatewayinit/supervisor/proof"
)

// Descent sweeps where gateway and agent have our own uid: what the former
// gateway left are those of our children (PID 1 and subreapers are handed
// orphans, generation by generation) that were seen below it while it lived, are
// in its session, or were executed with a token of ours in its variable, which
// the agent never is. The variable alone says nothing: the container's
// environment may have preset it for everybody.
//
// Not found: a helper that made a session of its own and cleared its
// environment since the last look (docs/tcb.md). Found although it is none: an
// orphan of the agent's that took the token and gave it to itself.
type Descent struct {
	tokenEnv string
	ours     func(value []byte) bool
	noted    map[int]uint64       // pid and start time of what descended from the gateway
	nothing  bool                 // the last Sweep found nothing
	child    func(pid int) bool   // it was started by us: it is told to end by itself
	last     func() proof.Process // the last gateway; its pid is 0: none
}

// NewDescent returns a sweeper that knows a gateway's process by a value of
// tokenEnv that is ours: a token that was handed out in this life. ours must not
// keep what it is asked about.
func NewDescent(tokenEnv string, ours func(value []byte) bool) *Descent {
	return &Descent{tokenEnv: tokenEnv, ours: ours}
}

// Track says how to ask what was started (child) and which gateway was the last
// (pid 0: nothing of it is left). Both are called only by the methods.
func (d *Descent) Track(child func(pid int) bool, last func() proof.Process) {
	d.child, d.last = child, last
}

func (d *Descent) gateway() int { return d.last().PID }

// Note looks at what the gateway has started, while it lives: who is orphaned
// tells nothing of it any more, and so is remembered until it has ended.
func (d *Descent) Note() error {
	pid := d.gateway()
	if pid == 0 {
		return nil
	}
	tree, err := proof.Tree(pid)
	if err != nil {
		return err
	}
	if len(tree) == 0 || tree[0].Verify() != nil {
		return nil // it has ended, and its children are nobody's: what was seen before counts
	}
	noted := map[int]uint64{}
	for _, p := range tree {
		noted[p.PID] = p.StartTicks
	}
	for pid, start := range d.noted {
		if _, seen := noted[pid]; !seen && !ended(pid, start) {
			noted[pid] = start
		}
	}
	d.noted = noted
	return nil
}

func (d *Descent) note(pid int, start uint64) {
	if d.noted == nil {
		d.noted = map[int]uint64{}
	}
	d.noted[pid] = start
}

// ended tells whether that process is no more, beyond doubt.
func ended(pid int, start uint64) bool {
	now, err := proof.Capture(pid)
	return errors.Is(err, proof.ErrGone) || err == nil && now.StartTicks != start
}

// Sweep sends SIGKILL once; Alive tells when to do it again.
func (d *Descent) Sweep() error {
	pids, err := d.left()
	d.nothing = len(pids) == 0 && err == nil
	for _, pid := range pids {
		// A child of ours: nobody but us can reap it, so the pid is still its own.
		if e := sys.Kill(pid, unix.SIGKILL); e != nil && !errors.Is(e, unix.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Alive tells whether something of the former gateway is left. Where the sweep
// just before saw nothing there is nothing that could have forked since.
func (d *Descent) Alive() (bool, error) {
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

// left lists what the former gateway left behind.
//
// There may be thousands of orphans of the agent's, and a look at each takes as
// long as the stop of a gateway. So their sessions are asked for first: nobody
// can enter one that is there already (setsid(2)), and its number stays its own
// while it has members. Where one of them is older than the gateway all of them
// are of somebody who is no descendant of it.
func (d *Descent) left() (found []int, err error) {
	pids, err := Children()
	last := d.last()
	older := 0 // a session that was there before the gateway; 0 is one from outside
	for _, pid := range pids {
		if d.child(pid) && pid != last.PID {
			continue
		}
		session, errLook := sys.Session(pid)
		if _, seen := d.noted[pid]; errLook == nil && session == older && !seen {
			continue
		}
		st, errLook := proof.ReadStat(pid)
		switch {
		case errors.Is(errLook, proof.ErrGone):
		case errLook != nil: // not seen is not gone
			err = errors.Join(err, errLook)
		case st.PPID != os.Getpid(): // it was no child
		case d.noted[pid] == st.StartTicks, last.PID != 0 && st.Session == last.PID:
			found = append(found, pid)
		case st.StartTicks < last.StartTicks: // older than the gateway: no child of it
			older = st.Session
		case last.PID != 0 && d.hasToken(pid): // before the first gateway nobody has one
			found = append(found, pid)
			// A process that ends loses its environment first, and still listens.
			d.note(pid, st.StartTicks)
		}
	}
	return found, err
}

// Signal sends sig to all else that descends from us, and as PID 1 to all that
// entered the container with our uid: all but the gateway and what it started,
// which end in their turn.
func (d *Descent) Signal(_ uint32, sig syscall.Signal) {
	others, _ := d.others()
	for _, st := range others {
		signal(proof.Process{PID: st.PID, StartTicks: st.StartTicks}, st.PPID == os.Getpid(), sig)
	}
}

// signal goes by pidfd, and only if the process is the one that was listed: in a
// PID namespace that is not ours its pid may be a stranger's now. Where the kernel
// or a seccomp profile has no pidfd a child of ours has its signal all the same:
// nobody but us can reap it, so the pid is still its own. What is below it is
// handed to us when it has ended.
func signal(p proof.Process, child bool, sig syscall.Signal) {
	if err := byPidfd(p, sig); err != nil && child {
		sys.Kill(p.PID, sig)
	}
}

func byPidfd(p proof.Process, sig syscall.Signal) error {
	fd, err := sys.PidfdOpen(p.PID)
	if err != nil {
		return err
	}
	now, err := proof.Capture(p.PID)
	switch {
	case err != nil:
	case now != p:
		err = proof.ErrReplaced
	default:
		err = sys.PidfdSignal(fd, sig)
	}
	sys.Close(fd)
	return err
}

// Others tells whether any of those lives. A child of ours does for an answer:
// while thousands are left /proc is not read through each time.
func (d *Descent) Others(uint32) (bool, error) {
	pids, _ := Children() // without the list all are looked at
	for _, pid := range pids {
		st, err := proof.ReadStat(pid)
		if err == nil && st.PPID == os.Getpid() && pid != d.gateway() && !st.Ended() {
			return true, nil
		}
	}
	others, err := d.others()
	return len(others) > 0, err
}

// others looks through all of /proc, at the container's end only.
func (d *Descent) others() ([]proof.Stat, error) {
	all := map[int]proof.Stat{}
	err := eachPID(func(pid int) error {
		st, err := proof.ReadStat(pid)
		if err == nil {
			all[pid] = st
		}
		if errors.Is(err, proof.ErrGone) || errors.Is(err, fs.ErrPermission) && !signallable(pid) {
			return nil
		}
		return err
	})
	var found []proof.Stat
	for pid, st := range all {
		if !st.Ended() && pid != os.Getpid() && d.other(all, pid) {
			found = append(found, st)
		}
	}
	return found, err
}

// signallable tells whether we may signal pid, by a signal that does nothing.
// Whom we may not signal and not see either (/proc with hidepid=1) is another
// user's, and the end of the container cannot wait for it.
func signallable(pid int) bool { return !errors.Is(sys.Kill(pid, 0), unix.EPERM) }

// other tells whether pid is below us, and not below the gateway. What has no
// parent in our PID namespace (0) entered it; in one of our own that is the
// container's too, and the kernel decides whether we may signal it.
func (d *Descent) other(all map[int]proof.Stat, pid int) bool {
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
			return os.Getpid() == 1 && owned(pid)
		}
		pid = st.PPID
	}
	return false // the list changed while it was read
}

// owned tells whether pid is our uid's: another user's we could not signal, and
// would wait for in vain.
func owned(pid int) bool {
	_, uid, err := lookup(pid)
	return err == nil && uid == uint32(os.Geteuid())
}

// Bounds. A value that is longer than any token is none. An exec passes on at most
// 6 MiB (execve(2)); a process can have the kernel show far more (PR_SET_MM_MAP)
// to whoever reads to the end.
const (
	maxValue   = 256
	maxEnviron = 8 << 20
)

// hasToken tells whether pid was executed with a token of ours. No answer (a
// zombie, a process that is not dumpable) is no.
func (d *Descent) hasToken(pid int) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer f.Close()
	return d.tokenIn(f)
}

func (d *Descent) tokenIn(environ io.Reader) bool {
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
			return d.isToken(entry) // one that was not closed
		}
	}
	return false
}

func (d *Descent) isToken(entry []byte) bool {
	name, value, found := bytes.Cut(entry, []byte{'='})
	return found && string(name) == d.tokenEnv && len(value) <= maxValue && d.ours(value)
}
