// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

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
