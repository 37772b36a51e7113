// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestIsRelated checks that the way up leads to an ancestor or ends at the border of
// the PID namespace. A process that cannot be seen may descend from any.
func TestIsRelated(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	child, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{})
	testenv.Must(t, err)
	defer func() { child.Kill(); child.Wait() }()
	for name, c := range map[string]struct {
		pid, ancestor int
		want          bool
	}{
		"itself":       {child.Pid, child.Pid, true},
		"parent":       {child.Pid, 1, true},
		"none":         {1, child.Pid, false}, // our parent is in another namespace
		"another":      {child.Pid, child.Pid + 1, false},
		"nobody-there": {1 << 22, 1, true},
	} {
		if got := IsRelated(c.pid, c.ancestor); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestTree(t *testing.T) {
	cmd, _ := start(t, exec.Command("/bin/sh", "-c", "sh -c 'sleep 100; true' & wait"))
	pid := cmd.Process.Pid
	testenv.Eventually(t, "three generations", func() bool {
		tree, err := Tree(pid)
		testenv.Must(t, err)
		return len(tree) == 3 && tree[0].PID == pid && tree[0].Verify() == nil
	})
	if tree, err := Tree(1 << 22); len(tree) != 0 || err != nil {
		t.Errorf("nobody: %v, %v", tree, err)
	}
}
