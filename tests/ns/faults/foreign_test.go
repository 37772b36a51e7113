// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// isAlive reports whether a process of the host lives.
func isAlive(t *testing.T, pid int) bool {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.HasPrefix(testenv.ParseStatus(data)["State"], "Z")
}

// TestSweepSparesAnotherContainer checks that a sweep ends no process of another container
// in the PID namespace that has the gateway's uid, although that container has no
// gateway-init to announce itself: neither its first process nor an orphan, which the
// kernel hands to our PID 1. When it is gone, sweeps are by uid again.
func TestSweepSparesAnotherContainer(t *testing.T) {
	t.Parallel()
	b := box.Start(t, box.Options{Pids: 200})
	b.WaitServing(20 * time.Second)
	first := b.StartForeign(box.GatewayUID, "sleep", "3600")
	// The orphan's pid on the host is found by its time, which no other process has.
	seconds := "3" + strconv.Itoa(os.Getpid())
	b.StartForeign(box.GatewayUID, "sh", "-c", "sleep "+seconds+" &")
	orphan := 0
	testenv.Eventually(t, "the orphan", func() bool {
		orphan = findByArgs(t, "sleep", seconds)
		return orphan != 0 && testenv.Status(t, fmt.Sprintf("/proc/%d/status", orphan))["PPid"] == strconv.Itoa(b.PID)
	})
	t.Cleanup(func() { unix.Kill(orphan, unix.SIGKILL) })
	for range 2 {
		b.MustCtl("restart")
		if !isAlive(t, first) || !isAlive(t, orphan) {
			t.Fatalf("a restart has ended the other container's process (alive %v) or its orphan (alive %v)", isAlive(t, first), isAlive(t, orphan))
		}
	}
	if n := strings.Count(b.Log(), `"event":"shared-pid-namespace","uid":9001`); n != 1 {
		t.Errorf("%d lines about it:\n%s", n, b.Log())
	}
	testenv.Must(t, errors.Join(unix.Kill(first, unix.SIGKILL), unix.Kill(orphan, unix.SIGKILL)))
	testenv.Eventually(t, "their end", func() bool { return !isAlive(t, first) && !isAlive(t, orphan) })
	b.Start(box.GatewayUID, "demotools", "sleep", "3600") // as docker exec -u
	execs := func() bool {
		return slices.ContainsFunc(b.Processes(), func(p box.Process) bool { return p.UID == box.GatewayUID && p.Comm == "demotools" })
	}
	testenv.Eventually(t, "an exec", execs)
	if b.MustCtl("restart"); execs() {
		t.Error("without another container a sweep is by uid, and the exec is left")
	}
}

// TestForeignProcessDelaysNoEnd checks that the end of the container does not wait for
// another container's processes.
func TestForeignProcessDelaysNoEnd(t *testing.T) {
	t.Parallel()
	b := box.Start(t, box.Options{Pids: 200, Config: map[string]any{"gateway": map[string]any{"stop": map[string]any{"grace": "30s"}}}})
	b.WaitServing(20 * time.Second)
	b.StartForeign(box.GatewayUID, "sh", "-c", "trap '' TERM; sleep 3600; sleep 3600")
	b.StartForeign(box.SandboxUID, "sh", "-c", "trap '' TERM; sleep 3600; sleep 3600")
	begin := time.Now()
	testenv.Must(t, unix.Kill(b.PID, unix.SIGTERM))
	if end := b.Wait(20 * time.Second); end.ExitStatus() != 0 || time.Since(begin) > 15*time.Second {
		t.Errorf("exit code %d after %v", end.ExitStatus(), time.Since(begin))
	}
}

// findByArgs returns the pid on the host of the process with exactly these arguments, or 0.
func findByArgs(t *testing.T, args ...string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	testenv.Must(t, err)
	for _, e := range entries {
		data, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && string(data) == strings.Join(args, "\x00")+"\x00" {
			pid, err := strconv.Atoi(e.Name())
			testenv.Must(t, err)
			return pid
		}
	}
	return 0
}
