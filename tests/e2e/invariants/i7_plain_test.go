// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Invariant I7. PID 1 itself never talks to the network. It holds no socket but
// netlink, not even during a proof, and bad answers of the gateway (garbage, an
// endless one) do it no harm.
func TestInitNeverTouchesTheNetwork(t *testing.T) {
	for _, answer := range []string{"garbage", "endless", "headers", "drip"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Config: map[string]any{"gateway": map[string]any{
				"health": map[string]any{"timeout": "1s"}}}})
			c.WaitServing(30 * time.Second)
			pid := c.HostPID()
			threads := threadCount(t, pid)
			c.Misbehave(map[string]any{"answer": answer})
			c.ExecDetached("root", "gatewayctl", "probe")
			c.WaitStatus(30*time.Second, "the probe to fail", func(v harness.View) error {
				for _, target := range openSockets(t, pid) {
					t.Errorf("PID 1 holds %s", target)
				}
				if v.Record == nil || v.Record.LastRequest == nil {
					return fmt.Errorf("no answer yet")
				}
				if !strings.Contains(v.Record.LastRequest.Result, "failed") {
					return fmt.Errorf("it did not fail: %s", v.Record.LastRequest.Result)
				}
				return nil
			})
			if now := threadCount(t, pid); now > threads+2 {
				t.Errorf("%d threads, then %d", threads, now)
			}
			if log := c.Logs(); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
				t.Error("PID 1 panicked")
			}
		})
	}
}

// openSockets returns PID 1's sockets except netlink, of which it has one during each
// sock_diag request. It reads the descriptors before and after the list of netlink
// sockets. A descriptor that is the same both times was open when the list was made.
func openSockets(t *testing.T, hostPID int) (found []string) {
	t.Helper()
	before := socketLinks(t, hostPID)
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netlink", hostPID))
	if err != nil {
		t.Fatal(err)
	}
	netlink := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		netlink["socket:["+fields[len(fields)-1]+"]"] = true
	}
	for fd, target := range socketLinks(t, hostPID) {
		if before[fd] == target && !netlink[target] {
			found = append(found, fd+" "+target)
		}
	}
	return found
}

func socketLinks(t *testing.T, hostPID int) map[string]string {
	t.Helper()
	entries, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", hostPID))
	if err != nil || len(entries) < 3 {
		t.Fatalf("cannot list the descriptors of PID 1: %v", err)
	}
	links := map[string]string{}
	for _, e := range entries {
		if target, err := os.Readlink(e); err == nil && strings.HasPrefix(target, "socket:") {
			links[filepath.Base(e)] = target
		}
	}
	return links
}

func threadCount(t *testing.T, hostPID int) int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", hostPID))
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
