// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestHold checks that a held process is one process, also after its end.
func TestHold(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "1000")
	testenv.Must(t, cmd.Start())
	testenv.Executed(t, cmd.Process.Pid)
	h, err := Hold(cmd.Process.Pid)
	testenv.Must(t, err)
	defer h.Close()
	testenv.Must(t, h.Verify())
	if h.PPID != os.Getpid() || h.IsReaped() {
		t.Errorf("%+v, reaped: %v", h.Snapshot, h.IsReaped())
	}
	again, err := h.ID().Hold()
	testenv.Must(t, err)
	again.Close()
	if _, err := (ID{h.PID, h.Start + 1}).Hold(); !errors.Is(err, ErrReplaced) {
		t.Errorf("another start time: %v", err)
	}
	fd, err := h.Pidfd()
	testenv.Must(t, err)
	defer fd.Close()
	testenv.Must(t, cmd.Process.Kill())
	testenv.Eventually(t, "its end", func() bool { return h.Verify() != nil })
	if h.IsReaped() {
		t.Error("a zombie was reaped")
	}
	testenv.Must(t, func() error { _, err := cmd.Process.Wait(); return err }())
	if !h.IsReaped() {
		t.Error("it is still there")
	}
	if _, err := Hold(cmd.Process.Pid); !errors.Is(err, ErrGone) {
		t.Errorf("gone: %v", err)
	}
}
