// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Invariant I8. After any process has died, the next start finds a consistent state,
// and no file has to be removed by hand. The runtime directory is a host directory on
// tmpfs, so it outlives PID 1. PID 1 is killed at growing delays into a rotation, so
// that all of its steps are met.
func TestDeathsLeaveAConsistentState(t *testing.T) {
	dir := filepath.Join("/dev/shm", harness.NewName(t))
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.Mkdir(dir, 0o711), os.Chmod(dir, 0o711)); err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{
		Flags: []string{"--read-only", "--tmpfs", "/tmp", "-v", dir + ":/run/gateway-init"}})
	c.WaitServing(30 * time.Second)
	seen := map[string]bool{}
	for step := range 20 {
		c.ExecDetached("root", "gatewayctl", "restart", "--rotate-token")
		delay := time.NewTimer(time.Duration(step) * 5 * time.Millisecond) // a moment in the rotation
		<-delay.C
		c.Kill("KILL")
		c.WaitExit(20 * time.Second)
		left, err := filepath.Glob(dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range left {
			seen[strings.TrimPrefix(path, dir+"/")] = true
		}
		c.StartAgain()
		c.WaitServing(30 * time.Second)
		if r := c.Ctl("restart"); r.Code != 0 {
			t.Fatalf("after the kill at step %d: %v", step, r)
		}
		if out := strings.TrimSpace(c.MustCtl("token")); out != c.Token() {
			t.Fatalf("step %d: token prints something else than the file", step)
		}
		for _, name := range []string{"gateway-token.new", "status.json.new"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				t.Errorf("step %d: %s stays behind", step, name)
			}
		}
	}
	if !seen["gateway-token"] || !seen["control"] {
		t.Errorf("the deaths left nothing behind to be met again: %v", seen)
	}
}
