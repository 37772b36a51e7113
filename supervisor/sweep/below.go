// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"os"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// SignalBelow sends sig to those of our descendants that wanted accepts. All of them are
// listed before the first gets it, because a process that ends hands its children to us,
// and they would be passed over.
func SignalBelow(sig syscall.Signal, wanted func(pid int) bool) error {
	all := map[int]procfs.Stat{}
	err := procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		if err == nil {
			all[pid] = st
		}
		return nil // it has ended, or /proc hides it
	})
	children, errList := Children()
	if err == nil {
		err = errList
	}
	for pid, st := range all {
		if !st.Ended() && isBelow(all, pid) && wanted(pid) {
			signal(st, sig)
		}
	}
	for _, pid := range children {
		if _, seen := all[pid]; !seen && wanted(pid) { // hidden, and nobody else reaps it
			sys.Kill(pid, sig)
		}
	}
	return err
}

// isBelow reports whether pid descends from us.
func isBelow(all map[int]procfs.Stat, pid int) bool {
	for range len(all) { // the list changed while it was read
		switch pid = all[pid].PPID; pid {
		case os.Getpid():
			return true
		case 0:
			return false
		}
	}
	return false
}
