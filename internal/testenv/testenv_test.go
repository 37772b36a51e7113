// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInside checks that the second process is PID 1 of its own namespace and sees
// only its own /proc, and that mounts and filters stay there.
func TestInside(t *testing.T) {
	if !Inside(t, unix.CLONE_NEWPID) {
		return
	}
	if os.Getpid() != 1 || Status(t, "/proc/self/status")["Pid"] != "1" {
		t.Errorf("pid %d, /proc says %s", os.Getpid(), Status(t, "/proc/self/status")["Pid"])
	}
	Refuse(t, unix.ENOSYS, unix.SYS_MEMFD_CREATE)
	if _, err := unix.MemfdCreate("x", 0); err != unix.ENOSYS {
		t.Errorf("memfd_create: %v", err)
	}
}

// TestTmpfs checks that a tmpfs is as small as requested, and has no path.
func TestTmpfs(t *testing.T) {
	dir := Tmpfs(t, "size=4k", "mode=0711")
	Must(t, os.WriteFile(Path(dir, "a"), make([]byte, 4096), 0o600))
	if err := os.WriteFile(Path(dir, "b"), []byte("x"), 0o600); err == nil {
		t.Error("a second page fitted in")
	}
}
