// SPDX-License-Identifier: Apache-2.0

// Package privs reduces the privileges of PID 1 to those that it needs, for all of
// its threads, and reads the remaining ones back from the kernel.
package privs

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Needed holds the capabilities that PID 1 keeps; docs/tcb.md says why. None of them
// reaches a child, because each child changes its uid from 0, which clears its sets.
const Needed = 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID

// names holds the bits of Needed for messages.
var names = [...]struct {
	bit  uint
	name string
}{
	{unix.CAP_CHOWN, "CHOWN"}, {unix.CAP_KILL, "KILL"},
	{unix.CAP_SETGID, "SETGID"}, {unix.CAP_SETUID, "SETUID"},
}

// Names returns the names of the capabilities of Needed that are in set.
func Names(set uint64) (found []string) {
	for _, n := range names {
		if set&(1<<n.bit) != 0 {
			found = append(found, n.name)
		}
	}
	return found
}

// Missing is a protection that could not be set. Name is for status and docs, and
// Detail has the flag that brings it.
type Missing struct{ Name, Detail string }

// Drop gives every thread of this process keep as its effective and permitted set,
// or the part of keep that it has. keep is Needed, or none for a process that is not
// root. Drop empties all other sets, sets no_new_privs, and makes the process not
// dumpable and without core files. It goes on when a step is refused. Each refusal
// is in the result, and none is silent.
//
// The order matters. The bounding set needs CAP_SETPCAP, so it comes before
// capset(2).
func Drop(keep uint64) (missing []Missing) {
	add := func(name string, err error, hint string) {
		if err != nil {
			missing = append(missing, Missing{name, fmt.Sprintf("%v; %s", err, hint)})
		}
	}
	hint := advice.CapDrop()
	if keep != 0 {
		hint = advice.CapDrop("SETPCAP")
	}
	add("bounding-set", dropBounding(), hint)
	add("ambient-set", ignore(sys.AllThreads("prctl", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), unix.EINVAL),
		"the kernel is older than 4.3")
	add("no-new-privs", sys.NoNewPrivs(),
		"the kernel is older than 3.5")
	add("dumpable", sys.SetDumpable(false), "a core file of PID 1 is possible")
	add("core-limit", sys.NoCore(), "run without --ulimit core=0, which does not keep a core file from a core_pattern program")
	permitted, err := sys.Permitted()
	if err == nil {
		err = sys.SetCaps(permitted & keep)
	}
	add("capabilities", err, "PID 1 keeps what the engine gave it")
	for _, n := range names {
		if err == nil && keep&^permitted&(1<<n.bit) != 0 {
			missing = append(missing, Missing{"cap-" + n.name, "CAP_" + n.name + " was not granted; " + advice.CapAdd(n.name)})
		}
	}
	return missing
}

// dropBounding empties the bounding set. Without CAP_SETPCAP it cannot; that is
// fine if the set is empty already. What is in it comes from /proc, because
// PR_CAPBSET_READ takes one call for each capability.
func dropBounding() error {
	own, err := ReadOwn()
	if err != nil {
		return err
	}
	for set := own.Bounding; set != 0; set &= set - 1 {
		c := uintptr(bits.TrailingZeros64(set))
		if err := sys.AllThreads("prctl", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("cannot empty the bounding set: %w", err)
		}
	}
	return nil
}

func ignore(err error, errno unix.Errno) error {
	if errors.Is(err, errno) {
		return nil
	}
	return err
}
