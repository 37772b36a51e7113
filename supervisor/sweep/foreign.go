// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"os"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
)

// This file finds processes of another container in our PID namespace (docker run --pid
// container:C). They may have our gateway's uid, and a kill(2) by uid would end them. A
// gateway-init in that container announces itself (Share). Another program does not, so
// the namespace is looked at before each kill.
//
// An engine gives each container a cgroup of its own, and docker exec enters that of its
// container. No process without rights can leave its cgroup. So a hostile process of the
// gateway's uid cannot pass for another container's.

// lookFor is how long the result of a look is taken for true, because one sweep asks several
// times in a row. In a crowd a look takes longer, and its result is taken for true for
// lookShare times that.
const (
	lookFor   = 20 * time.Millisecond
	lookShare = 4
)

// look is the result of a look at all processes.
type look struct {
	until   time.Time
	entered bool // another container is in our PID namespace
}

// isShared reports whether signals must go by descent, because our PID namespace has
// processes of another container with that uid. If they cannot be looked for it reports
// false, because the processes of our own container must end.
func (s *ByUID) isShared(uid uint32) bool {
	if s.shared.Load() {
		return true
	}
	outside := outsider()
	if begin := time.Now(); begin.After(s.last.until) {
		s.last.entered = hasEntered(outside)
		now := time.Now()
		s.last.until = now.Add(max(lookFor, lookShare*now.Sub(begin)))
	}
	if !s.last.entered || !hasForeign(uid, outside) {
		return false
	}
	if s.OnForeign != nil && !s.told {
		s.told = true
		s.OnForeign(uid)
	}
	return true
}

// hasEntered reports whether another container is in our PID namespace. Its first process has
// no parent there. A process of docker exec has none either, but is in our cgroup.
func hasEntered(outside func(pid int) bool) (entered bool) {
	err := procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		entered = entered || err == nil && st.PPID == 0 && pid != os.Getpid() && outside(pid)
		return nil // it has ended, or /proc hides it
	})
	return entered && err == nil
}

// hasForeign reports whether a process of uid belongs to another container. It may be an
// orphan that the kernel has handed to us.
func hasForeign(uid uint32, outside func(pid int) bool) (found bool) {
	err := procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		if !found && err == nil && !st.Ended() {
			real, err := procfs.ReadUID(pid)
			found = err == nil && real == uid && outside(pid)
		}
		return nil
	})
	return found && err == nil
}

// outsider returns a function that reports whether a process is in a cgroup outside ours,
// and so in another container. It reports false where the kernel does not say.
func outsider() func(pid int) bool {
	ours, err := procfs.Cgroups(os.Getpid())
	return func(pid int) bool {
		theirs, errTheirs := procfs.Cgroups(pid)
		return err == nil && errTheirs == nil && procfs.IsOutside(ours, theirs)
	}
}
