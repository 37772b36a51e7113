// SPDX-License-Identifier: Apache-2.0

package command

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestCommandHasTheSignalMaskOfInit checks that the command has exactly the signals blocked
// that gateway-init was started with, and none ignored. All of them are blocked while PID 1
// forks. The command is a Go program, whose runtime unblocks others than these.
func TestCommandHasTheSignalMaskOfInit(t *testing.T) {
	eachMode(t, func(t *testing.T, args []string) {
		for want, blocked := range map[string]uint64{"0000000000000000": 0, "0000000000000a00": 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGUSR2-1)} {
			b := box.Start(t, box.Options{Args: args, Command: []string{"/usr/local/bin/demotools", "cat", "/proc/self/status"}, Blocked: blocked})
			if end := b.Wait(patience); end.ExitStatus() != 0 {
				t.Fatalf("exit code %d\n%s", end.ExitStatus(), b.Log())
			}
			f := testenv.ParseStatus([]byte(b.Log()))
			if f["SigBlk"] != want || f["SigIgn"] != "0000000000000000" {
				t.Errorf("blocked are %s, want %s, ignored %s", f["SigBlk"], want, f["SigIgn"])
			}
		}
	})
}
