// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestEvictEndsTheNewest checks that the newest processes of a uid are killed, as many
// as needed, and neither spared ones nor another user's.
func TestEvictEndsTheNewest(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	other := run(t, stranger, "exec sleep 1000")
	var pids []int
	for range 5 {
		pids = append(pids, run(t, gateway, "exec sleep 1000"))
	}
	s := NewByUID(gateway, false)
	ended := func(pid int) bool {
		st, err := procfs.ReadStat(pid)
		return err != nil || st.Ended()
	}
	n, err := s.Evict(gateway, 2, func(pid int) bool { return pid == pids[3] })
	testenv.Must(t, err)
	if n != 2 {
		t.Errorf("%d ended, want 2", n)
	}
	testenv.Eventually(t, "the newest end", func() bool { return ended(pids[4]) && ended(pids[2]) })
	for _, pid := range []int{other, pids[0], pids[1], pids[3]} {
		if ended(pid) {
			t.Errorf("%d is gone", pid)
		}
	}
	if n, err := NewByUID(gateway, true).Evict(gateway, 100, func(int) bool { return false }); n != 0 || err != nil {
		t.Errorf("in a shared PID namespace: %d, %v", n, err)
	}
	if n, err := s.Evict(gateway, 100, func(pid int) bool { return pid == pids[0] }); n != 2 || err != nil {
		t.Errorf("all but one: %d, %v", n, err)
	}
}
