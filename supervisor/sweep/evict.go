// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"cmp"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
)

// Evict kills the newest processes of uid, until those that it killed have n threads, and
// returns their number. It kills no process that spare names. In a shared PID namespace
// it kills none, because the uid may be another container's.
//
// At the pids limit none of them can fork meanwhile, because a process that has ended
// counts until it is reaped.
func (s *ByUID) Evict(uid uint32, n int, spare func(pid int) bool) (ended int, err error) {
	if s.isShared(uid) {
		return 0, nil
	}
	var all []procfs.Stat
	err = procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		if err != nil || st.Ended() || spare(pid) {
			return nil
		}
		if real, err := procfs.ReadUID(pid); err == nil && real == uid {
			all = append(all, st)
		}
		return nil
	})
	slices.SortFunc(all, newestFirst)
	for _, st := range all {
		if n <= 0 {
			break
		}
		switch e := st.ID().Signal(unix.SIGKILL); {
		case e == nil:
			ended++
			n -= st.Threads
		case !procfs.IsGone(e) && !errors.Is(e, procfs.ErrReplaced):
			err = errors.Join(err, e)
		}
	}
	return ended, err
}

func newestFirst(a, b procfs.Stat) int {
	return cmp.Or(cmp.Compare(b.Start, a.Start), cmp.Compare(b.PID, a.PID))
}
