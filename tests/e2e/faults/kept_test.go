// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// keptTmpfs mounts a tmpfs on the host, for a runtime directory that outlives its
// container.
func keptTmpfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0711,size=1m"); err != nil {
		t.Fatal(os.NewSyscallError("mount", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(os.NewSyscallError("umount2", err))
		}
	})
	return dir
}
