// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestPauseCountsForNothing checks that a paused container loses no time: a gateway that
// starts is not given up for the pause, and one that is being stopped is not killed.
func TestPauseCountsForNothing(t *testing.T) {
	for name, c := range map[string]struct {
		misbehave map[string]any
		begin     func(b *box.Box)
		end       func(b *box.Box)
		unwanted  string
	}{
		"starting": {map[string]any{"listen_after": "4s"}, func(b *box.Box) {
			b.WaitState(status.Starting, 10*time.Second)
		}, func(b *box.Box) {
			b.WaitState(status.Running, 30*time.Second)
		}, "gateway-unresponsive"},
		"stopping": {map[string]any{"drain": "2s"}, func(b *box.Box) {
			b.WaitServing(10 * time.Second)
			b.Signal(unix.SIGTERM)
			testenv.Eventually(t, "the stop", func() bool { return strings.Contains(b.Log(), "gateway-stopping") })
		}, func(b *box.Box) {
			b.Wait(testenv.AtMost(t, 20*time.Second))
		}, `"event":"killed"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := box.Start(t, box.Options{Misbehave: c.misbehave, Config: map[string]any{"gateway": map[string]any{
				"ready": map[string]any{"timeout": "5s", "give_up": "6s"}, "stop": map[string]any{"grace": "5s"}}}})
			c.begin(b)
			pause(t, b, 8*time.Second)
			c.end(b)
			if log := b.Log(); strings.Contains(log, c.unwanted) || !strings.Contains(log, `"event":"paused"`) {
				t.Errorf("the pause was counted:\n%s", log)
			}
		})
	}
}

// pause stops all processes of b for some time, as an engine's freezer does.
func pause(t *testing.T, b *box.Box, d time.Duration) {
	t.Helper()
	stopped := append([]int{b.PID}, hostPIDs(t, b)...)
	for _, pid := range stopped {
		testenv.Must(t, unix.Kill(pid, unix.SIGSTOP))
	}
	time.Sleep(d)
	for i := range stopped {
		testenv.Must(t, unix.Kill(stopped[len(stopped)-1-i], unix.SIGCONT))
	}
}

// hostPIDs returns the pids, outside, of the processes below b's PID 1.
func hostPIDs(t *testing.T, b *box.Box) (pids []int) {
	t.Helper()
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", b.PID))
	testenv.Must(t, err)
	names, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, name := range names {
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		if ns, err := os.Readlink(name); err == nil && ns == own && pid != b.PID {
			pids = append(pids, pid)
		}
	}
	return pids
}
